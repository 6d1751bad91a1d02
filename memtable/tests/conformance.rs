//! All memtables keep the laws.

mod skiplist {
    lsmkit_memtable::conformance!(lsmkit_memtable::SkipList);
}

mod btree {
    lsmkit_memtable::conformance!(lsmkit_memtable::BTree);
}

mod bplus_tree {
    lsmkit_memtable::conformance!(lsmkit_memtable::BPlusTree);
}
