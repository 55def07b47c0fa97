"""Learned reconstruction: a small network refines compressed sensing, between bounds that the measured data set."""
