"""Index expressions and addresses of the loop IR to instructions.

An offset is emitted in parts, outermost loop first: base + i*stride is a pointer computed in loop i, to which the
innermost loop adds its own index, and constants become displacements. An index that differs between lanes by one
constant step stays a scalar with that step.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.compiler.llvm import functions
from graphflow.compiler.llvm.builder import LLVM_TYPES, Reg, split_vector, vector
from graphflow.compiler.llvm.scope import Placed, Scopes
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Expr, Value, values_in
from graphflow.kernel.index import Atom, Index, IndexExpr, Maximum, Pair, Quotient, Remainder, Symbol, map_atoms, substitute


class Addresses(Scopes):
    """Scopes that can compute index values and addresses. Subclasses say what a scalar expression is."""

    def _value(self, e: Expr) -> Placed:
        raise NotImplementedError

    # -- index values, the same in all lanes -------------------------------------------------------------------------

    def rename(self, index: Index) -> Index:
        """`index` with the present renamings of `bind` applied."""
        return substitute(index, self.renaming) if self.renaming else index

    def index(self, index: Index) -> Reg:
        """The value of an index expression that is the same in all lanes (for the vector symbol: in lane 0)."""
        return self._index(self.rename(index))[0]

    def _index(self, index: Index) -> Placed:
        if not isinstance(index, IndexExpr):
            return self.b.i64(index), 0
        found = self.cache.get(index)
        if found is not None:
            return found
        total, level = self.b.i64(0), 0
        constant = 0
        for term_level, group, c in self._by_level(index):
            constant += c
            for factors, scale in group:
                term, _ = self._term(factors, scale)
                level = max(level, term_level)
                with self.place(level):
                    total = self.b.add(total, term)
        if constant:
            with self.place(level):
                total = self.b.add(total, self.b.i64(constant))
        return self._keep(index, total, level, values_in(index))

    def _by_level(self, index: IndexExpr) -> list[tuple[int, list[tuple[tuple[Atom, ...], int]], int]]:
        """The terms grouped by level, outermost first, as (level, terms, 0), then the constant as (0, [], constant)."""
        groups: dict[int, list[tuple[tuple[Atom, ...], int]]] = {}
        constant = 0
        for factors, scale in index.terms:
            if factors:
                groups.setdefault(max(self._atom(a)[1] for a in factors), []).append((factors, scale))
            else:
                constant = scale
        ordered: list[tuple[int, list[tuple[tuple[Atom, ...], int]], int]] = [(n, groups[n], 0) for n in sorted(groups)]
        return [*ordered, (0, [], constant)]

    def _term(self, factors: tuple[Atom, ...], scale: int) -> Placed:
        """The product of atoms and a constant, outermost atoms first."""
        product, level = self.b.i64(scale), 0
        for value, own in sorted((self._atom(a) for a in factors), key=lambda placed: placed[1]):
            level = max(level, own)
            with self.place(level):
                product = self.b.mul(value, product)
        return product, level

    def _atom(self, atom: Atom) -> Placed:
        if isinstance(atom, Symbol):
            return self._symbol(atom.name)
        if isinstance(atom, Value):
            value, level = self._value(atom.expr)
            if value.type == "i64":
                return value, level
            key = ("i64", atom.expr)
            found = self.cache.get(key)
            if found is None:
                with self.place(level):
                    wide = functions.convert(self.b, self.target, value, atom.expr.type, "i64")
                found = self._keep(key, wide, level, (atom.expr,))
            return found
        found = self.cache.get(atom)
        if found is None:
            assert isinstance(atom, Pair)
            (left, l1), (right, l2) = self._index(atom.left), self._index(atom.right)
            level = max(l1, l2)
            with self.place(level):
                value = self._pair(atom, left, right)
            found = self._keep(atom, value, level, values_in(IndexExpr((((atom,), 1),))))
        return found

    def _pair(self, atom: Atom, left: Reg, right: Reg) -> Reg:
        """A quotient, remainder or extremum of registers of any lanes. The divisor is positive, though perhaps not on
        inactive lanes.
        """
        if isinstance(atom, Quotient | Remainder):
            low, _ = self.limits(atom.left)
            kind = "i64" if low is None or low < 0 else "u64"
            function = "floordiv" if isinstance(atom, Quotient) else "floormod"
            return functions.apply(self.b, self.target, function, kind, (left, right))
        return functions.apply(self.b, self.target, "max" if isinstance(atom, Maximum) else "min", "i64", (left, right))

    # -- index values that differ between lanes ----------------------------------------------------------------------

    def _varies(self, index: Index) -> bool:
        """Whether an index differs between lanes."""
        if not isinstance(index, IndexExpr) or self.lanes == 1:
            return False
        return any(self._atom_varies(atom) for factors, _ in index.terms for atom in factors)

    def _atom_varies(self, atom: Atom) -> bool:
        if isinstance(atom, Symbol):
            return atom.name == self.vector
        if isinstance(atom, Value):
            return split_vector(self._value(atom.expr)[0].type)[1] > 1
        assert isinstance(atom, Pair)
        return self._varies(atom.left) or self._varies(atom.right)

    def stride(self, index: Index) -> Index | None:
        """By how much an index grows from lane to lane; None where that is not one number for all lanes."""
        if self.lanes == 1 or self.vector is None or not isinstance(index, IndexExpr):
            return 0
        if not self._varies(index):
            return 0
        step = coefficient(index, self.vector)
        if step is not None and not self._varies(step) and not self._varies(substitute(index, {self.vector: 0})):
            return step
        steps = self._steps(index)
        return steps[1] if steps is not None and steps == tuple(n * steps[1] for n in range(self.lanes)) else None

    def steps(self, index: Index) -> tuple[int, ...] | None:
        """By how much an index differs from lane 0's, lane after lane; None where that is not known."""
        step = self.stride(index)
        return tuple(n * step for n in range(self.lanes)) if isinstance(step, int) else self._steps(index)

    def _steps(self, index: Index) -> tuple[int, ...] | None:
        """`steps` of an index with quotients or remainders, which are known where lane 0 is at a known place of their period."""
        turn = self.turns.get(self.vector or "")
        if turn is None:
            return None
        total = (0,) * self.lanes
        for factors, scale in index.terms if isinstance(index, IndexExpr) else ():
            if any(self._atom_varies(atom) for atom in factors):
                if len(factors) > 1 or factors[0].symbols() != {self.vector}:
                    return None
                total = tuple(a + scale * b for a, b in zip(total, turn.distances(factors[0]), strict=True))
        return total

    def first(self, index: Index) -> Index:
        """An index value of lane 0, without quotients and remainders where lane 0 is at a known place of their period."""
        turn = self.turns.get(self.vector or "")
        if turn is None:
            return index
        return map_atoms(index, lambda a: turn.first(a) if a.symbols() == {turn.name} else IndexExpr((((a,), 1),)))

    def lane_index(self, index: Index) -> Placed:
        """An index value in every lane, as i64."""
        if not self._varies(index):
            value, level = self._index(index)
            return self.widen(value, level)
        assert isinstance(index, IndexExpr)
        key = ("lanes", index)
        found = self.cache.get(key)
        if found is None:
            steps = self.steps(index)
            value, level = self._lane_sum(index) if steps is None else self._by_steps(index, steps)
            found = self._keep(key, value, level, values_in(index))
        return found

    def _by_steps(self, index: IndexExpr, steps: Sequence[int], type_: str = "i64") -> Placed:
        """Lane 0's value everywhere, plus the constant distances from it."""
        value, level = self._index(self.first(index))
        level = max(level, self.vector_level)
        with self.place(level):
            if value.known is not None:
                return Reg(vector(type_, self.lanes), "<" + ", ".join(f"{type_} {value.known + n}" for n in steps) + ">"), level
            base = self.b.splat(self.b.convert("trunc", value, type_), self.lanes)
            distances = "<" + ", ".join(f"{type_} {n}" for n in steps) + ">"
            return self.b.binary("add", base, Reg(base.type, distances)), level

    def _lane_sum(self, index: IndexExpr) -> Placed:
        """Term by term, those that are the same in all lanes together."""
        uniform: Index = 0
        total: Reg | None = None
        level = self.vector_level
        for factors, scale in index.terms:
            if not any(self._atom_varies(a) for a in factors):
                uniform = uniform + IndexExpr(((factors, scale),)) if factors else uniform + scale
                continue
            product, level = self._lane_product(factors, scale, level)
            with self.place(level):
                total = product if total is None else self.b.binary("add", total, product)
        assert total is not None
        if uniform != 0:
            base, own = self.lane_index(uniform)
            level = max(level, own)
            with self.place(level):
                total = self.b.binary("add", total, base)
        return total, level

    def _lane_product(self, factors: tuple[Atom, ...], scale: int, level: int) -> Placed:
        parts = [self._lane_atom(a) for a in factors]
        level = max([level, *(own for _, own in parts)])
        product = parts[0][0]
        with self.place(level):
            for value, _ in parts[1:]:
                product = self.b.binary("mul", product, value)
            if scale != 1:
                product = self.b.binary("mul", product, self.b.constant(scale, product.type))
        return product, level

    def _lane_atom(self, atom: Atom) -> Placed:
        if not self._atom_varies(atom):
            return self.widen(*self._atom(atom))
        if isinstance(atom, Symbol):
            return self.lane_index(IndexExpr((((atom,), 1),)))
        if isinstance(atom, Value):
            return self._atom(atom)
        assert isinstance(atom, Pair)
        (left, l1), (right, l2) = self.lane_index(atom.left), self.lane_index(atom.right)
        level = max(l1, l2)
        with self.place(level):
            return self._lane_pair(atom, left, right), level

    def _lane_pair(self, atom: Atom, left: Reg, right: Reg) -> Reg:
        """Division in 32 bits where the numbers are known to fit: vectors have no 64-bit multiplier to divide by a
        constant with.
        """
        if isinstance(atom, Quotient | Remainder) and isinstance(atom.right, int) and atom.right < 1 << 31:
            low, high = self.limits(atom.left)
            if low is not None and high is not None and low >= 0 and high < 1 << 31:
                narrow = vector("i32", self.lanes)
                numerator = self.b.convert("trunc", left, narrow)
                function = "floordiv" if isinstance(atom, Quotient) else "floormod"
                divisor = self.b.constant(atom.right, narrow)
                result = functions.apply(self.b, self.target, function, "u32", (numerator, divisor))
                return self.b.convert("zext", result, left.type)
        return self._pair(atom, left, right)

    def widen(self, value: Reg, level: int) -> Placed:
        """The same value in every lane."""
        if split_vector(value.type)[1] > 1 or self.lanes == 1:
            return value, level
        if not value.ref.startswith("%"):
            return self.b.splat(value, self.lanes), 0
        key = ("splat", self.lanes, value)
        found = self.cache.get(key)
        if found is None:
            with self.place(level):
                found = self._keep(key, self.b.splat(value, self.lanes), level)
        return found

    # -- addresses ---------------------------------------------------------------------------------------------------

    def address(self, buffer: str, index: Index) -> Placed:
        """Where an element lies (for lane 0). What is known further out is added to the pointer there, the constant
        last of all.
        """
        type_ = LLVM_TYPES[self.buffers[buffer].type]
        type_ = "i8" if type_ == "i1" else type_
        pointer, level = self._argument(buffer, "ptr")
        if not isinstance(index, IndexExpr):
            with self.place(0):
                return self.b.element(pointer, self.b.i64(index), type_), 0
        done: tuple[object, ...] = ()
        constant = 0
        for own, group, c in self._by_level(index):
            constant += c
            if not group:
                continue
            level = max(level, own)
            done += tuple(group)
            key = ("address", buffer, done)
            found = self.cache.get(key)
            if found is None:
                total = self.b.i64(0)
                with self.place(level):
                    for factors, scale in group:
                        total = self.b.add(total, self._term(factors, scale)[0])
                    element = self.b.element(pointer, total, type_)
                found = self._keep(key, element, level, values_in(index))
            pointer = found[0]
        if constant:
            with self.place(level):
                pointer = self.b.element(pointer, self.b.i64(constant), type_)
        return pointer, level

    def addresses(self, buffer: str, index: Index) -> Placed:
        """Where the elements of all lanes lie, as a vector of pointers."""
        type_ = LLVM_TYPES[self.buffers[buffer].type]
        type_ = "i8" if type_ == "i1" else type_
        pointer, _ = self._argument(buffer, "ptr")
        lanes, level = self.lane_index(index)
        with self.place(level):
            return self.b.instruction(
                f"<{self.lanes} x ptr>",
                f"getelementptr inbounds {type_}, ptr {pointer.ref}, {lanes.type} {lanes.ref}",
                "p",
            ), level
