"""The formats a second time: plain, slow, obvious Python, with which the kernels are compared.

Written from the pages in proto/ and independent of the kernels; it shares nothing with them.
"""
