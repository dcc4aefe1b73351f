from actorkit.launch.cluster import *  # noqa
from actorkit.launch.cluster import LocalCluster  # noqa
