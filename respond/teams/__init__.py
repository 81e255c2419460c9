"""Emergency countermeasures teams of article 20: asked for, formed by the Mayor alone, called out, on duty, stood down, reviewed."""
