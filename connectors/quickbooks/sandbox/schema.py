"""What each entity may hold, how long its texts may be, and what a query may ask of it: facts as data.

Names: Finance.xsd of the vendor's SDK. "filterable" and lengths: the entity pages under
https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/ ("Traits: filterable").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Shape = Literal["name", "transaction", "single", "rate"]

META = frozenset({"Id", "MetaData.CreateTime", "MetaData.LastUpdatedTime"})
COMMON = frozenset({"Id", "SyncToken", "MetaData", "domain", "sparse", "status", "CustomField", "AttachableRef"})


class EntityFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One entity: what a body may name, what a query may filter by, and what it can do."""

    name: str
    shape: Shape
    properties: frozenset[str]
    filterable: frozenset[str]
    lengths: Mapping[str, int] = {}
    clean_names: tuple[str, ...] = ()
    writable: bool = True
    in_cdc: bool = True


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ADDRESS = {f"Line{n}": 500 for n in range(1, 6)} | {"City": 255, "Country": 255, "PostalCode": 30}
_PHONES = ("PrimaryPhone", "AlternatePhone", "Mobile", "Fax")
_PERSON = (
    "Title GivenName MiddleName FamilyName Suffix DisplayName FullyQualifiedName CompanyName PrintOnCheckName Active "
    "PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr BillAddr ShipAddr OtherAddr OtherContactInfo "
    "DefaultTaxCodeRef CurrencyRef UserId V4IDPseudonym"
)
_PERSON_NAMES = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix", "DisplayName", "PrintOnCheckName")
_PERSON_LENGTHS = {
    "Title": 16, "GivenName": 100, "MiddleName": 100, "FamilyName": 100, "Suffix": 16, "DisplayName": 500,
    "CompanyName": 100, "PrintOnCheckName": 110, "ResaleNum": 16, "Notes": 2000, "AcctNum": 100, "GSTIN": 15,
    "BusinessNumber": 10, "PrimaryEmailAddr.Address": 100, "WebAddr.URI": 1000,
    **{f"{phone}.FreeFormNumber": 30 for phone in _PHONES},
    **{f"{role}.{part}": size for role in ("BillAddr", "ShipAddr") for part, size in _ADDRESS.items()},
}  # fmt: skip
_PERSON_FILTERS = _words(
    "DisplayName GivenName MiddleName FamilyName PrimaryEmailAddr Active CompanyName PrintOnCheckName "
    "FullyQualifiedName"
)
_SALES = (
    "DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn Line TxnTaxDetail "
    "TxnSource TaxFormType TaxFormNum TransactionLocationType Tag ProjectRef RecurDataRef AutoDocNumber CustomerRef "
    "CustomerMemo BillAddr ShipAddr ShipFromAddr FreeFormAddress RemitToRef ClassRef SalesTermRef DueDate SalesRepRef "
    "PONumber FOB ShipMethodRef ShipDate TrackingNum GlobalTaxCalculation TotalAmt HomeTotalAmt ApplyTaxAfterDiscount "
    "TemplateRef PrintStatus EmailStatus BillEmail BillEmailCc BillEmailBcc ARAccountRef Balance HomeBalance "
    "FinanceCharge PaymentMethodRef PaymentRefNum PaymentType DepositToAccountRef DeliveryInfo TaxExemptionRef"
)
_SALES_LENGTHS = {
    "DocNumber": 21, "PONumber": 15, "PrivateNote": 4000, "CustomerMemo.value": 1000, "TrackingNum": 31,
    "BillEmail.Address": 100, "BillEmailCc.Address": 200, "BillEmailBcc.Address": 200,
    **{f"{role}.{part}": size for role in ("BillAddr", "ShipAddr") for part, size in _ADDRESS.items()},
}  # fmt: skip

_LIST = [
    EntityFacts(
        name="Customer",
        shape="name",
        properties=_words(
            f"{_PERSON} Taxable Notes Job BillWithParent RootCustomerRef ParentRef Level CustomerTypeRef SalesTermRef "
            "SalesRepRef TaxGroupCodeRef TaxRateRef PaymentMethodRef Balance OpenBalanceDate BalanceWithJobs "
            "CreditLimit AcctNum OverDueBalance TotalRevenue TotalExpense PreferredDeliveryMethod ResaleNum "
            "ARAccountRef PrimaryTaxIdentifier SecondaryTaxIdentifier TaxExemptionReasonId IsProject BusinessNumber "
            "GSTIN GSTRegistrationType ClientEntityId Source"
        ),
        filterable=META | _PERSON_FILTERS | {"Balance"},
        lengths=_PERSON_LENGTHS,
        clean_names=_PERSON_NAMES,
    ),
    EntityFacts(
        name="Vendor",
        shape="name",
        properties=_words(
            f"{_PERSON} ContactName AltContactName Notes TaxIdentifier BusinessNumber ParentRef VendorTypeRef TermRef "
            "PrefillAccountRef Balance OpenBalanceDate CreditLimit AcctNum Vendor1099 GSTIN BillRate CostRate"
        ),
        filterable=META | _PERSON_FILTERS | {"Balance"},
        lengths=_PERSON_LENGTHS,
        clean_names=_PERSON_NAMES,
    ),
    EntityFacts(
        name="Employee",
        shape="name",
        properties=_words(
            f"{_PERSON} PrimaryAddr EmployeeNumber SSN BillableTime BillRate CostRate BirthDate Gender HiredDate "
            "ReleasedDate"
        ),
        filterable=META | _words("DisplayName GivenName MiddleName FamilyName Active PrintOnCheckName"),
        lengths=_PERSON_LENGTHS,
        clean_names=_PERSON_NAMES,
    ),
    EntityFacts(
        name="Item",
        shape="name",
        properties=_words(
            "Name Sku Description Active SubItem ParentRef Level FullyQualifiedName Taxable SalesTaxIncluded "
            "PercentBased UnitPrice RatePercent Type PaymentMethodRef UOMSetRef IncomeAccountRef PurchaseDesc "
            "PurchaseTaxIncluded PurchaseCost ExpenseAccountRef AssetAccountRef PrefVendorRef AvgCost TrackQtyOnHand "
            "QtyOnHand QtyOnPurchaseOrder QtyOnSalesOrder ReorderPoint InvStartDate SalesTaxCodeRef "
            "PurchaseTaxCodeRef ClassRef TaxClassificationRef Source ItemCategoryType"
        ),
        filterable=META | _words("Name FullyQualifiedName Active Type Sku"),
        lengths={"Name": 100, "Sku": 100, "Description": 4000, "PurchaseDesc": 1000},
        clean_names=("Name",),
    ),
    EntityFacts(
        name="Account",
        shape="name",
        properties=_words(
            "Name SubAccount ParentRef Description FullyQualifiedName Active Classification AccountType "
            "AccountSubType AcctNum OpeningBalance OpeningBalanceDate CurrentBalance CurrentBalanceWithSubAccounts "
            "CurrencyRef TaxAccount TaxCodeRef"
        ),
        filterable=META
        | _words("Name FullyQualifiedName Active Classification AccountType AccountSubType CurrentBalance SubAccount"),
        lengths={"Name": 100, "AcctNum": 20, "Description": 100},
        clean_names=("Name",),
    ),
    EntityFacts(
        name="Term",
        shape="name",
        properties=_words(
            "Name Active Type DiscountPercent DueDays DiscountDays DayOfMonthDue DueNextMonthDays DiscountDayOfMonth"
        ),
        filterable=META | _words("Name Active Type DueDays"),
        lengths={"Name": 31},
    ),
    EntityFacts(
        name="PaymentMethod",
        shape="name",
        properties=_words("Name Active Type"),
        filterable=META | _words("Name Active Type"),
        lengths={"Name": 31},
    ),
    EntityFacts(
        name="TaxCode",
        shape="name",
        properties=_words("Name Description Active Taxable TaxGroup SalesTaxRateList PurchaseTaxRateList Hidden"),
        filterable=META | _words("Name Active"),
        writable=False,
        in_cdc=False,
    ),
    EntityFacts(
        name="TaxRate",
        shape="name",
        properties=_words(
            "Name Description Active RateValue AgencyRef TaxReturnLineRef EffectiveTaxRate SpecialTaxType DisplayType"
        ),
        filterable=META | _words("Name Active"),
        writable=False,
        in_cdc=False,
    ),
    EntityFacts(
        name="Invoice",
        shape="transaction",
        properties=_words(
            f"{_SALES} Deposit AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment "
            "EInvoiceStatus InvoiceLink"
        ),
        filterable=META | _words("DocNumber TxnDate DueDate CustomerRef SalesTermRef Balance ProjectRef"),
        lengths=_SALES_LENGTHS,
    ),
    EntityFacts(
        name="CreditMemo",
        shape="transaction",
        properties=_words(f"{_SALES} RemainingCredit InvoiceRef"),
        filterable=META | _words("DocNumber TxnDate CustomerRef Balance ProjectRef"),
        lengths=_SALES_LENGTHS,
    ),
    EntityFacts(
        name="Payment",
        shape="transaction",
        properties=_words(
            "DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn Line "
            "TxnTaxDetail TxnSource TransactionLocationType ProjectRef CustomerRef RemitToRef ARAccountRef "
            "DepositToAccountRef PaymentMethodRef PaymentRefNum PaymentType CreditCardPayment TotalAmt "
            "UnappliedAmt ProcessPayment TaxExemptionRef"
        ),
        filterable=META | _words("TxnDate CustomerRef PaymentRefNum ProjectRef"),
        lengths={"PrivateNote": 4000, "PaymentRefNum": 21},
    ),
    EntityFacts(name="CompanyInfo", shape="single", properties=frozenset(), filterable=META, writable=False),
    EntityFacts(name="Preferences", shape="single", properties=frozenset(), filterable=META, writable=False),
    EntityFacts(
        name="ExchangeRate",
        shape="rate",
        properties=_words("SourceCurrencyCode TargetCurrencyCode Rate AsOfDate"),
        filterable=_words("SourceCurrencyCode AsOfDate MetaData.LastUpdatedTime"),
        in_cdc=False,
    ),
]  # fmt: skip

ENTITIES: dict[str, EntityFacts] = {facts.name: facts for facts in _LIST}
BY_PATH: dict[str, str] = {name.lower(): name for name in ENTITIES}
NAME_FIELD = {"Customer": "DisplayName", "Vendor": "DisplayName", "Employee": "DisplayName"}
PEOPLE = ("Customer", "Vendor", "Employee")
TRANSACTIONS = ("Invoice", "CreditMemo", "Payment")

# Set by the company, whatever a body says.
DERIVED = _words(
    "Id SyncToken MetaData domain sparse status Balance BalanceWithJobs HomeBalance TotalAmt HomeTotalAmt "
    "UnappliedAmt RemainingCredit LinkedTxn FullyQualifiedName Level CurrentBalance CurrentBalanceWithSubAccounts "
    "DeliveryInfo InvoiceLink OverDueBalance TotalRevenue TotalExpense AvgCost"
)

LINE_PROPERTIES = _words(
    "Id LineNum Description Amount Received LinkedTxn DetailType CustomExtensions CustomField LineEx "
    "SalesItemLineDetail DiscountLineDetail SubTotalLineDetail DescriptionLineDetail DescriptionOnly GroupLineDetail "
    "TaxLineDetail PaymentLineDetail"
)
DETAIL_PROPERTIES = {
    "SalesItemLineDetail": _words(
        "ItemRef ClassRef UnitPrice RatePercent PriceLevelRef MarkupInfo Qty UOMRef ItemAccountRef InventorySiteRef "
        "TaxCodeRef TaxClassificationRef ServiceDate TaxInclusiveAmt DiscountRate DiscountAmt DeferredRevenue"
    ),
    "DiscountLineDetail": _words(
        "DiscountRef PercentBased DiscountPercent DiscountAccountRef ServiceDate ClassRef TaxCodeRef"
    ),
    "DescriptionLineDetail": _words("ServiceDate TaxCodeRef"),
    "SubTotalLineDetail": _words("ItemRef ServiceDate"),
}
