//! The table of etcd 3.5's flags: name, type, default. Facts: surface C.2.
