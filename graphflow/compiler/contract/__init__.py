"""One generator for all contractions: matrix products, convolutions and their gradients, dot products.

For the lowering (compiler/lower), which builds kernels:

    schedule = schedule_contract(contract, target, prefix="t")

takes one unplanned `kernel.nodes.Contract` and returns the cheapest Schedule: the `phases` that compute it, each a tuple of statements,
and the SCRATCH buffers they need (`scratch`, named from `prefix`); put the phases into the Kernel in this order and append the buffers.
Usually it is one phase holding the contract with its `plan` filled. An operand that cannot be read along vectors is first repacked (plain
loops), and a long reduction with few outputs is cut into a fixed number of parts, whose sums a last phase of plain loops combines and
hands to the epilogue. Planned Contracts stand in a phase of their own and distribute themselves over the threads, several where they need
nothing of each other; one that stands in the loops of somebody else's phase, planned by `nested`, is done whole by the thread that comes
to it (compiler/lower/overlap.py has such). Where a reduced axis of a planned contract begins and how long it is may depend on free axes:
the last part of a cut reduction is shorter, and at the edge of an image a window meets fewer rows.

Three forms of register tile cover every case (plan.py): vectors along an axis of the results, one operand broadcast; vectors along another
free axis, the tile turned by shuffles before the epilogue, or what that stores interleaved; vectors along a reduced axis, summed across in
the end. Where none fits, the same tile is made of single elements. Where columns are too few to fill a register, several steps of a reduced
axis lie in it beside each other.

Where steps of the reduction move an operand as rows do, as under the window of a convolution, an iteration takes several of them (Plan:
window) and loads what rows share once. Besides being less work this matters on cores that run short of memory operations before they do of
multiply-adds: more than one for every three or four of these slows them down.

Large products in single precision go through the matrix tiles of the machines that have them (matrix.py, images.py, filters.py).

For the emitter (compiler/llvm/stmt.py), which meets such a statement: `emit_contract(emitter, contract)`.
"""

from graphflow.compiler.contract.cuts import even_parts, priced_for
from graphflow.compiler.contract.emit import emit_contract
from graphflow.compiler.contract.schedule import schedule_contract

__all__ = ["emit_contract", "even_parts", "priced_for", "schedule_contract"]
