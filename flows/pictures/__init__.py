"""Pictures of results: as figures for papers, which matplotlib draws, or as pages of the explorer's charts."""
