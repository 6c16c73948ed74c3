"""Expressions of the loop IR to instructions, each computed once and as far out of the loops as it may stand.

An `Expressions` emitter keeps a stack of *frames*: 0 is the function's entry (arguments, sizes), 1 the body of the
phase, and every loop, conditional or `bind` opens another. Each value has a *level*, the number of the frame whose
facts it needs; it is emitted just before the next inner frame begins, so that what does not change in a loop is not
computed there. Loads stay behind conditionals and behind stores to the same buffer; where they leave a loop that may
run zero times they read zeros instead of memory.

For code that makes its own loops (contractions), an epilogue at vector lanes is:

    with em.bind({"m": m0, "n": n0}, vector="n", lanes=16, mask=mask, locals={"acc": (sum_register, "f32")}):
        em.run(contract.epilogue)

`m0` and `n0` are i64 registers, or Index expressions over symbols bound further out, which is better for tiles: bind
the origins once, outside, and then {"m": symbol("m0") + r, "n": symbol("n0") + 16*v} for every register of the tile,
so that all addresses share one pointer and differ in a displacement. In lane l the vector symbol has the value of its
register plus l. A `bind` may be empty: it then is a place for invariant values, worth opening before a loop nest.
`em.pointer(buffer)`, `em.symbol(name)` and `em.index(index)` give base pointers, sizes and index values as registers;
`em.thread` and `em.threads` the share. `run` is in stmt.Emitter.
"""

from __future__ import annotations

from graphflow.compiler.llvm import functions
from graphflow.compiler.llvm.address import Addresses
from graphflow.compiler.llvm.builder import LLVM_TYPES, Reg, split_vector, vector
from graphflow.compiler.llvm.interleave import load_every
from graphflow.compiler.llvm.number import Num
from graphflow.compiler.llvm.periodic import load_pattern
from graphflow.compiler.llvm.scope import Placed
from graphflow.kernel.expr import Call, Const, Expr, Load, Local, Position, replace
from graphflow.kernel.index import Index, IndexExpr

ZEROS = "@graphflow.zeros = private unnamed_addr constant [512 x i8] zeroinitializer, align 64"


class Expressions(Addresses):
    """Emits scalar expressions at the present number of lanes. A value that is the same in all lanes stays a scalar
    register.
    """

    def value(self, e: Expr) -> Reg:
        """A register with the value: a scalar where it is the same in all lanes."""
        return self._value(self.renamed(e))[0]

    def wide(self, e: Expr) -> Reg:
        """A register with the value in every lane."""
        return self.widen(*self._value(self.renamed(e)))[0]

    def renamed(self, e: Expr) -> Expr:
        """`e` with the present renamings of `bind` applied."""
        return replace(e, self.renaming) if self.renaming else e

    def _value(self, e: Expr) -> Placed:
        stack = [e]
        while stack:
            x = stack[-1]
            if x in self.cache:
                stack.pop()
                continue
            missing = [c for c in x.children() if c not in self.cache]
            if missing:
                stack.extend(reversed(missing))
                continue
            self._emit(x)
        return self.cache[e]

    def _emit(self, e: Expr) -> None:
        """Compute `e`, whose operands are in the cache."""
        match e:
            case Const():
                self._keep(e, self.b.constant(e.value, LLVM_TYPES[e.type]), 0)
            case Local():
                value, level = self.locals[e.name]
                self._keep(e, value, max(level, self._pinned((e.name,))))
            case Position():
                self._keep(e, *self._position(e.index, e.type))
            case Load() | Call(function="check"):
                value, level = self._load(e) if isinstance(e, Load) else self._check(e)
                self._keep(e, value, level, presumes=self._presumed(level))
            case Call():
                self._keep(e, *self._call(e))
            case _:
                raise TypeError(f"{e!r} is not an expression")

    def _position(self, index: Index, type_: str) -> Placed:
        if self._varies(index):
            steps = self.steps(index)
            if steps is not None and type_ in ("i32", "i64"):
                assert isinstance(index, IndexExpr)
                return self._by_steps(index, steps, type_)
            value, level = self.lane_index(index)
        else:
            value, level = self._index(index)
        with self.place(level):
            return functions.convert(self.b, self.target, value, "i64", type_), level

    def _call(self, e: Call) -> Placed:
        placed = [self.cache[a] for a in e.arguments]
        if any(split_vector(value.type)[1] > 1 for value, _ in placed):
            keep = 1 if e.function == "select" else 0  # a choice that is the same in all lanes may stay one bit
            placed = [*placed[:keep], *(self.widen(*p) for p in placed[keep:])]
            if keep and split_vector(placed[1][0].type)[1] == 1:
                placed = [placed[0], *(self.widen(*p) for p in placed[1:])]
        level = max(own for _, own in placed)
        values = [value for value, _ in placed]
        with self.place(level):
            if e.function == "cast":
                return functions.convert(self.b, self.target, values[0], e.arguments[0].type, e.type), level
            type_ = e.arguments[1].type if e.function == "select" else e.arguments[0].type
            return functions.apply(self.b, self.target, e.function, type_, values), level

    # -- loads -------------------------------------------------------------------------------------------------------

    def _outward(self, level: int) -> tuple[int, Reg | None]:
        """How far out something that needs a running body may stand, and the condition under which the bodies it
        leaves do run.
        """
        level = self._anchor(level)
        conditions: list[Reg] = []
        for n in range(level + 1, self.top + 1):
            occupied = self.frames[n].occupied
            if occupied is not None and occupied[1] > level:
                level, conditions = n, []
            elif occupied is not None:
                conditions.append(occupied[0])
        total: Reg | None = None
        with self.place(level):
            for condition in conditions:
                total = condition if total is None else self.b.binary("and", total, condition)
        return level, total

    def _presumed(self, level: int) -> int:
        """The innermost of the frames that what stands at `level` has left on the condition that their bodies run (`_outward`)."""
        return max((n for n in range(level + 1, self.top + 1) if self.frames[n].occupied is not None), default=0)

    def _load(self, e: Load) -> Placed:
        pinned = self._pinned((e.buffer,)) if e.buffer in self.changing else 0
        step = self.stride(e.offset)
        guard, guard_level = (None, 0) if e.guard is None else self.cache[e.guard]
        if self.lanes == 1 or step == 0:
            value, level = self._load_one(e, guard, max(guard_level, pinned))
        elif step in (1, -1):
            value, level = self._load_row(e, guard, max(guard_level, pinned), step == -1)
        else:
            apart = self._load_apart(e, step, pinned) if guard is None else None
            value, level = self._gather(e, guard, max(guard_level, pinned)) if apart is None else apart
        if e.type == "bool":
            with self.place(level):
                value = self.b.compare("icmp ne", value, self.b.constant(0, value.type))
        return value, level

    def _load_one(self, e: Load, guard: Reg | None, level: int) -> Placed:
        """One element, the same for all lanes; a guard that differs between lanes chooses between it and zero."""
        type_ = self.memory_type(e.buffer)
        address, own = self.address(e.buffer, e.offset)
        mask: Reg | None = None
        if guard is not None and split_vector(guard.type)[1] > 1:
            mask = guard
            level = max(level, self.mask_level if self.mask is not None else 0)
        level, condition = self._outward(max(level, own))
        with self.place(level):
            if mask is not None:
                active = mask if self.mask is None else self.b.binary("and", mask, self.mask)
                guard = Num(self.b, self.target, active).any().reg
            value = self.b.load(type_, self._or_zeros(address, guard, condition))
            if mask is not None:
                wide = self.b.splat(value, self.lanes)
                value = self.b.select(mask, wide, self.b.constant(0, wide.type))
        return value, level

    def _load_row(self, e: Load, guard: Reg | None, level: int, falling: bool) -> Placed:
        """Consecutive elements, one for each lane; `falling`: the first lane has the last of them."""
        lowest = self.first(e.offset) - (self.lanes - 1 if falling else 0)
        address, own = self.address(e.buffer, lowest)
        own = max(own, self.vector_level)
        mask = self.mask
        level, condition = self._outward(max(level, own, self.mask_level if mask is not None else 0))
        with self.place(level):
            if guard is not None and split_vector(guard.type)[1] > 1:
                mask, guard = (guard if mask is None else self.b.binary("and", mask, guard)), None
            address = self._or_zeros(address, guard, condition)
            turned = range(self.lanes - 1, -1, -1)
            mask = self.b.shuffle(mask, turned) if falling and mask is not None else mask
            row = self.b.load(vector(self.memory_type(e.buffer), self.lanes), address, mask=mask)
            return self.b.shuffle(row, turned) if falling else row, level

    def _load_apart(self, e: Load, step: Index | None, level: int) -> Placed | None:
        """Elements at known distances, put together from whole vectors; None where that cannot be done."""
        found = load_every(self, e, step, level) if isinstance(step, int) else None
        steps = self._steps(e.offset)
        return load_pattern(self, e, steps, level) if found is None and steps is not None else found

    def _gather(self, e: Load, guard: Reg | None, level: int) -> Placed:
        """Elements at any places. Lanes that are not active read nothing."""
        addresses, own = self.addresses(e.buffer, e.offset)
        level, condition = self._outward(max(level, own, self.mask_level if self.mask is not None else 0))
        with self.place(level):
            active = self._active(guard, condition)
            if active is None:
                active = self.b.constant(True, f"<{self.lanes} x i1>")
            return self.b.gather(vector(self.memory_type(e.buffer), self.lanes), addresses, active), level

    def memory_type(self, buffer: str) -> str:
        """The LLVM type of a buffer's elements in memory."""
        type_ = LLVM_TYPES[self.buffers[buffer].type]
        return "i8" if type_ == "i1" else type_

    def _or_zeros(self, address: Reg, *conditions: Reg | None) -> Reg:
        """`address` where all conditions hold, else the address of zeros."""
        total: Reg | None = None
        for condition in conditions:
            if condition is not None:
                total = condition if total is None else self.b.binary("and", total, condition)
        if total is None:
            return address
        self.b.declarations.add(ZEROS)
        return self.b.select(total, address, Reg("ptr", "@graphflow.zeros"))

    def _active(self, *conditions: Reg | None) -> Reg | None:
        """The lanes that take part: those of the mask in which all conditions hold. None: all of them."""
        total = self.mask
        for condition in conditions:
            if condition is not None:
                wide = self.b.splat(condition, self.lanes) if split_vector(condition.type)[1] == 1 else condition
                total = wide if total is None else self.b.binary("and", total, wide)
        return total

    # -- run-time checks ---------------------------------------------------------------------------------------------

    def _check(self, e: Call) -> Placed:
        """The third argument; where the first is false, the number of the check and the second go to the status
        block.
        """
        condition, shown, value = (self.cache[a] for a in e.arguments)
        lanes = max(split_vector(condition[0].type)[1], split_vector(shown[0].type)[1])
        if lanes > 1:
            condition, shown = self.widen(*condition), self.widen(*shown)
        level = max(condition[1], shown[1], self.mask_level if self.mask is not None and lanes > 1 else 0)
        level, occupied = self._outward(level)
        b = self.b
        status = self.status()
        with self.place(level):
            failed = b.binary("xor", condition[0], b.constant(True, condition[0].type))
            if lanes > 1 and self.mask is not None:
                failed = b.binary("and", failed, self.mask)
            some = Num(b, self.target, failed).any().reg
            if occupied is not None:
                some = b.binary("and", some, occupied)
            with b.when(some, "check"):
                number = functions.convert(b, self.target, shown[0], e.arguments[1].type, "i64")
                if lanes > 1:
                    whole = b.convert("bitcast", failed, f"i{lanes}")
                    first = b.call(whole.type, f"llvm.cttz.i{lanes}", (whole, Reg("i1", "true")))
                    wide = b.convert("zext" if lanes < 64 else "bitcast", first, "i64")
                    number = b.instruction("i64", f"extractelement {number.type} {number.ref}, i64 {wide.ref}")
                self._report(status, e.detail + 1, number)
        return value[0], max(level, value[1])

    def _report(self, status: Reg, code: int, shown: Reg) -> None:
        """Write the status block unless a failure stands there already."""
        b = self.b
        second = b.element(status, b.i64(1), "i64")
        before, noted = b.load("i64", status), b.load("i64", second)
        fresh = b.compare("icmp eq", before, b.i64(0))
        b.store(b.select(fresh, b.i64(code), before), status)
        b.store(b.select(fresh, shown, noted), second)
