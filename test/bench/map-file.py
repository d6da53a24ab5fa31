# Copies a whole file out of a mapping, in pieces of 1 MiB, and prints the milliseconds that took: python3 map-file.py FILE
import mmap
import sys
import time

PIECE_BYTES = 1024 * 1024

buffer = memoryview(bytearray(PIECE_BYTES))
with open(sys.argv[1], "rb") as file:
    began = time.perf_counter()
    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as content:
        for at in range(0, len(content), PIECE_BYTES):
            piece = content[at : at + PIECE_BYTES]
            buffer[: len(piece)] = piece
            piece.release()
    print((time.perf_counter() - began) * 1000)
