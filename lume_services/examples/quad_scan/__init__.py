"""Measure a beam's emittance by a quadrupole scan, as it is done at a linac.

Three flows, composed by `quad_scan.yaml`: `beam` makes or reads the particles, `track` scans the quadrupole
and takes the screen images, `fit` gets the Twiss parameters from the beam sizes and compares them with the
particles.
"""
