"""The parts of the report; each module measures one and gives a section."""
