//! Each judge finds nothing in a good input and the right fault in each broken one.
