"""Threads of the libraries under numpy, limited for the length of one fit."""

from contextlib import AbstractContextManager


def one_blas_thread() -> AbstractContextManager[object]:
    """`implicit` runs threads of its own, each of which calls BLAS, and warns where BLAS would start more of them."""
    from threadpoolctl import threadpool_limits

    limit: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limit
