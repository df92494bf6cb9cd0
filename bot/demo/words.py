"""Words that the made-up company's names, places and goods are built from. Nobody and nothing here exists; numbers
are of the range kept for fiction (555-01xx) and addresses end in .example (RFC 2606)."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = _words(
    "Alder Amber Ash Barrow Beacon Birch Bramble Briar Cedar Chalk Clover Copper Coral Cross Dale Elm Ember Falcon "
    "Fern Flint Forge Garnet Gorse Granite Hazel Heather Heron Holly Indigo Iron Ivory Jasper Juniper Kestrel Larch "
    "Laurel Linden Maple Marble Meadow Mercer Mill Moss Oak Ochre Olive Onyx Orchard Osprey Pebble Pine Plover "
    "Quarry Quill Raven River Rowan Saffron Sage Sable Silver Slate Sorrel Spruce Stone Summit Tansy Teal Thistle "
    "Thorn Timber Topaz Umber Upland Vale Verdant Walnut Wicker Willow Winter Yarrow Zephyr"
)
LAST = _words("bridge brook croft dell field ford gate grove hurst lake ley mere point port ridge shore stead wick")
TRADE = _words(
    "Aquatics Bakery Brewing Ceramics Coatings Creamery Dairy Distilling Farms Fisheries Foods Foundry Gardens "
    "Glass Greenhouses Heating Hotels Irrigation Laundry Logistics Marine Mining Optics Packaging Paper Pharma "
    "Plastics Plumbing Pools Printing Quarries Resorts Shipyard Spas Steel Textiles Tiles Timberworks Turbines "
    "Utilities Vineyards Waterworks Wineries"
)
FORM = ("Inc.", "LLC", "Corp.", "Co.", "Ltd.")

GIVEN = _words(
    "Ada Alva Anouk Bela Cora Dario Edda Elio Emre Fleur Greta Hanno Ida Ines Jonas Juna Kaja Leif Lior Luca Maren "
    "Mila Nadia Nils Noor Odile Oren Paz Petra Quinn Ravi Rosa Sami Selma Soren Tamar Tilda Uma Vera Yara Zeno"
)
FAMILY = _words(
    "Abara Amsel Barlow Castan Demir Ekholm Farrow Galvin Hallam Ilves Jansky Kessel Lindqvist Marlow Nakai Okoro "
    "Pavlin Quiroga Rennick Sandoval Tarrant Umarov Vesely Wexler Yilmaz Zeller"
)

STREETS = (
    "Canal St", "Dock Rd", "Factory Ln", "Foundry Way", "Harbor Ave", "Market St", "Mill Rd", "Pump House Rd",
    "Quay St", "Station Rd", "Tannery Row", "Water St", "Weir Ln", "Works Ave",
)  # fmt: skip
# City, state, the first three digits of its postcodes, area code.
CITIES = (
    ("Albany", "NY", "122", "518"), ("Buffalo", "NY", "142", "716"), ("Rochester", "NY", "146", "585"),
    ("Newark", "NJ", "071", "973"), ("Trenton", "NJ", "086", "609"), ("Hartford", "CT", "061", "860"),
    ("Providence", "RI", "029", "401"), ("Boston", "MA", "021", "617"), ("Worcester", "MA", "016", "508"),
    ("Portland", "ME", "041", "207"), ("Burlington", "VT", "054", "802"), ("Scranton", "PA", "185", "570"),
    ("Erie", "PA", "165", "814"), ("Dover", "DE", "199", "302"), ("Baltimore", "MD", "212", "410"),
    ("Richmond", "VA", "232", "804"), ("Cleveland", "OH", "441", "216"), ("Toledo", "OH", "436", "419"),
)  # fmt: skip

# What is sold: number, name, price, whether it is a service, what the invoice says.
GOODS = (
    ("PU-C40", "Circulator pump C40", "480.00", False, "Circulator pump, 40 mm"),
    ("PU-B12", "Booster pump B12", "1000.00", False, "Booster pump, 12 bar"),
    ("PU-D05", "Dosing pump D5", "690.00", False, "Dosing pump, 5 l/h"),
    ("VA-C50", "Check valve DN50", "85.00", False, "Check valve, brass"),
    ("VA-B25", "Ball valve DN25", "42.50", False, "Ball valve, brass"),
    ("GA-P10", "Pressure gauge 10 bar", "38.90", False, "Pressure gauge, glycerine"),
    ("SP-SK1", "Seal kit", "27.40", False, "Seal kit for C and B series"),
    ("CB-X02", "Control box X2", "990.00", False, "Control box for two pumps"),
    ("SV-COM", "Commissioning", "360.00", True, "Commissioning on site, a day"),
    ("SV-ANN", "Annual service", "1200.00", True, "Annual service, one station"),
    ("SV-SUP", "Remote support", "150.00", True, "Remote support, a month"),
)
# Kept in the books alone: comes to the CRM with the first plan.
NEW_GOODS = ("SP-BLT", "Spare belts", "60.00", False, "Spare belts, a set of four")
TOPICS = ("Pump room", "Spare parts", "Plant refit", "Second line", "Cooling loop", "Wash station", "Boiler house")
