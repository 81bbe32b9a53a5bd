"""What other programs read of dnsd in their own protocols: each adapter renders what is published, and no more."""
