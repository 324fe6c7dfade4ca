//! The suite that holds every store to every promise of the trait.
