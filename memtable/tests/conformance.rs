//! Both memtables keep the laws.

mod skiplist {
    lsmkit_memtable::conformance!(lsmkit_memtable::SkipList);
}

mod btree {
    lsmkit_memtable::conformance!(lsmkit_memtable::BTree);
}
