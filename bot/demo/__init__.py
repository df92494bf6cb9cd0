"""The demonstration: a made-up company on local sandboxes, and a story that plays the main job and checks it."""
