//! Statistics over plain numbers: intervals, paired tests, rank agreement. Pure; randomness only from a given seed.
