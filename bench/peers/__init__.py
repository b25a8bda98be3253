"""The peers: the same pictures and the same model, behind other servers, each as its own guide says."""
