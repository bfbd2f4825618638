"""What a compiled program will cost on chips that are not there: their topology, its memory, arithmetic and traffic."""
