"""One generator for all contractions: matrix products, convolutions and their gradients, dot products.

For the lowering (compiler/lower), which builds kernels:

    phases, scratch = schedule_contract(contract, kernel_buffers, target, symbols=(...), prefix="t")

takes one unplanned `kernel.nodes.Contract` and returns the phases that compute it, each a tuple of statements, together with the SCRATCH
buffers they need; put the phases into the Kernel in this order and append the buffers. Usually it is one phase holding the contract with
its `plan` filled. An operand that cannot be read along vectors is first repacked (a phase of plain loops), and a long reduction with few
outputs is cut into a fixed number of parts whose sums a last phase of plain loops combines and hands to the epilogue.
A planned Contract is the only statement of its phase and distributes itself over the threads; no PARALLEL loop is put around it.
An axis extent of a planned contract may depend on free axes listed before it (the last part of a cut reduction is shorter).

For the emitter (compiler/llvm/kernel.py), which meets such a statement:

    emit_contract(host, contract)

where `host` is the emitter of the phase, seen through the protocol `Host` (contract/emit.py):

    host.b                          the FunctionBuilder of the phase
    host.target                     the Target
    host.thread, host.threads       i64 Regs
    host.address(buffer) -> Reg     base pointer of a buffer
    host.index(index) -> Reg        i64 value of an index expression over symbols and bound names
    host.bind(name, reg)            from now on the axis `name` has this i64 value (rebinding is allowed)
    host.vector_body(statements, axis, start, lanes, mask, {"acc": reg})
                                    emit Let and Store statements once on `lanes` lanes, where the axis named `axis` has the values
                                    start, start+1, ... and every other axis the value it is bound to; lanes = 1 and axis None mean
                                    scalar code; lanes whose mask (i1 vector or None) is false store nothing; locals are given

Importing this package imports no llvmlite.
"""

from graphflow.compiler.contract.emit import Host, emit_contract
from graphflow.compiler.contract.schedule import schedule_contract

__all__ = ["Host", "emit_contract", "schedule_contract"]
