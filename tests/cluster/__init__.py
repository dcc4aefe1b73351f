"""Laws of the cluster: pure rooms first, then nodes that talk."""
