"""Random SELECTs of the random models, of the ORM and of the Core.

Every one is deterministic: what the same rows give is the same multiset of results, whatever else
is in the tables. A LIMIT goes with an ORDER BY of all columns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    String,
    and_,
    between,
    bindparam,
    case,
    distinct,
    except_,
    func,
    intersect,
    join,
    literal,
    not_,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.orm import aliased, joinedload
from sqlalchemy.orm import join as orm_join

from .random_models import MODELS, Author, Book, Review, random_value

Columns = list[Any]
"""The columns of what a SELECT selects from."""


class RandomSelects:
    """Makes SELECTs; the same ones for the same source of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def statement(self) -> Any:
        """A SELECT or a compound of some."""
        return self._one_of(
            (9, self.plain),
            (6, self.outer),
            (3, self.grouped),
            (2, self.window),
            (2, self.compound),
            (2, self.of_subquery),
            (2, self.of_cte),
            (1, self.recursive),
            (3, self.of_entities),
            (3, self.of_keys),
            (1, self.eager),
        )

    # ------------------------------------------------------------------ statements

    def plain(self) -> Any:
        """Columns of one to three tables, perhaps distinct, perhaps limited."""
        found, source = self.source()
        columns = self._some(found, 3)
        if self._chance(0.15):
            columns.append(self._scalar_subquery(found).label("sub"))
        if self._chance(0.1):
            columns.append(case((self.condition(found, 1), 1), else_=0).label("flag"))
        statement = self._filtered(select(*self._labelled(columns)).select_from(source), found)
        if self._chance(0.15):
            statement = statement.distinct()
        return self._limited(statement)

    def outer(self) -> Any:
        """A join of two or three tables, its ON more telling than its WHERE."""
        found, source = self.source(self.rng.choice((2, 2, 3)), telling=True)
        statement = select(*self._labelled(self._some(found, 3))).select_from(source)
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            column = self._column(found)
            statement = statement.where(
                self._one_of(
                    (3, lambda: column.is_(None)),  # noqa: B023
                    (2, lambda: or_(column.is_(None), self._fixed(found))),  # noqa: B023
                    (2, lambda: self._fixed(found)),
                    (1, lambda: self._atom(found)),
                )
            )
        return statement

    def grouped(self) -> Any:
        """Aggregates, of everything or by groups."""
        found, source = self.source()
        number = self._column(found, text=False)
        aggregates = [
            self._one_of(
                (1, func.count),
                (1, lambda: func.sum(number)),
                (1, lambda: func.max(self._column(found))),
                (1, lambda: func.count(distinct(self._column(found)))),
                (1, lambda: func.count().filter(self._atom(found))),
            ).label(f"agg{at}")
            for at in range(self.rng.randint(1, 2))
        ]
        keys = self._some(found, 2) if self._chance(0.6) else []
        statement = select(*self._labelled(keys), *aggregates).select_from(source)
        statement = self._filtered(statement, found).group_by(*keys)
        if keys and self._chance(0.4):
            statement = statement.having(func.count() > self.rng.randint(0, 2))
        return self._limited(statement)

    def window(self) -> Any:
        """Window functions, over what WHERE leaves."""
        found, source = self.source()
        column = self._column(found)
        over = func.rank().over(
            order_by=self._column(found),
            partition_by=self._column(found) if self._chance(0.5) else None,
        )
        total = func.count().over(partition_by=self._column(found))
        statement = select(*self._labelled([column, over, total])).select_from(source)
        return self._filtered(statement, found)

    def compound(self) -> Any:
        """Two SELECTs of a number each, put together."""
        both = [self._of_number(limited=False) for _ in range(2)]
        return self._limited(self.rng.choice((union, union_all, except_, intersect))(*both))

    def of_subquery(self) -> Any:
        """A SELECT from a SELECT, perhaps joined with a table."""
        return self._of_derived(self.simple().subquery())

    def of_cte(self) -> Any:
        """A SELECT from a common table expression, perhaps twice."""
        cte = self.simple().cte()
        if self._chance(0.3):
            other = cte.alias()
            return select(cte.c[0], other.c[0]).where(cte.c[0] == other.c[0])
        return self._of_derived(cte)

    def recursive(self) -> Any:
        """The bosses above some authors."""
        start = select(Author.id.label("id"), Author.boss_id.label("boss"))
        start = start.where(self.condition(self._columns_of(Author), 1))
        above = start.cte(recursive=True)
        upper = self._entity(Author)
        columns = self._columns_of(upper)
        step = select(columns[0], self._named(columns, "boss_id")).where(columns[0] == above.c.boss)
        if self._chance(0.5):
            step = step.where(self._atom(columns))
        return select(above.union(step))

    def of_entities(self) -> Any:
        """Entities, with joins and conditions along relationships."""
        model, path, target = self.rng.choice(
            (
                (Book, Book.author, Author),
                (Author, Author.books, Book),
                (Review, Review.book, Book),
                (Book, Book.reviews, Review),
            )
        )
        statement: Any = select(model)
        found, far = self._columns_of(model), self._columns_of(target)
        kind = self.rng.choice(("plain", "plain", "plain", "join", "exists"))
        if kind == "join":
            statement = statement.join(path, isouter=self._chance(0.4))
            found = found + far
        elif kind == "exists":
            related = path.any if path.property.uselist else path.has
            statement = statement.where(related(self.condition(far, 1)))
        return self._filtered(statement, found)

    def of_keys(self) -> Any:
        """Entities, keys or counts, with other tables that name them by key; some use more."""
        target, (other, name) = self.rng.choice(
            (
                (Author, (Review, "author_id")),
                (Author, (Book, "author_id")),
                (Book, (Review, "book_id")),
                (Author, (Author, "boss_id")),
            )
        )
        far = aliased(other) if other is target or self._chance(0.3) else other
        own, others = self._columns_of(target), self._columns_of(far)
        what = self.rng.choice((target, target, target, own[0].label("key"), func.count()))
        statement: Any = select(what).select_from(target)
        joined = self._named(others, name) == own[0]
        if self._chance(0.2):
            joined = and_(joined, self._atom([own[0], *others]))
        statement = statement.join(far, joined, isouter=self._chance(0.2))
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            statement = statement.where(self._atom([own[0], *(others if other is far else [])]))
        if self._chance(0.2):
            statement = statement.where(self._atom(own))
        if what is not func.count and what is target and self._chance(0.2):
            return statement.distinct()
        if self._chance(0.2) and what is target:
            order = self.rng.choice((own[:1], own))
            return statement.order_by(*order).distinct().limit(self.rng.randint(1, 3))
        return statement

    def eager(self) -> Any:
        """Entities with others loaded by a join, perhaps around a limited subquery."""
        model, path = self.rng.choice(((Author, Author.books), (Book, Book.author)))
        found = self._columns_of(model)
        statement = self._filtered(select(model), found).options(joinedload(path))
        return statement.order_by(found[0]).limit(2) if self._chance(0.4) else statement

    def simple(self) -> Any:
        """A SELECT with a number first, for use inside of others."""
        return self._one_of((4, self._of_number), (2, self._counted), (1, self.compound))

    # --------------------------------------------------------------------- sources

    def source(self, tables: int = 0, telling: bool = False) -> tuple[Columns, Any]:
        """Something to select from, and its columns; `telling` has more in its ON clauses."""
        tables = tables or self.rng.choice((1, 1, 1, 2, 2, 3))
        entities = [
            self._entity(self.rng.choice(MODELS), alias=number > 0 or self._chance(0.3))
            for number in range(tables)
        ]
        columns = [self._columns_of(entity) for entity in entities]
        if len(entities) == 3 and self._chance(0.3):
            inner, known = self._join(entities[1], columns[1], entities[2], columns[2], telling)
            return self._swap(self._join(entities[0], columns[0], inner, known, telling))
        source, known = entities[0], columns[0]
        for entity, more in zip(entities[1:], columns[1:], strict=True):
            source, known = self._join(source, known, entity, more, telling)
        return known, source

    def _swap(self, both: tuple[Any, Columns]) -> tuple[Columns, Any]:
        return both[1], both[0]

    def _entity(self, model: Any, alias: bool = True) -> Any:
        """A class, an alias of it, a table or an alias of that."""
        if self._chance(0.5):
            return aliased(model) if alias else model
        table = model.__table__
        return table.alias() if alias else table

    def _columns_of(self, entity: Any) -> Columns:
        table = getattr(entity, "c", None)
        if table is not None:
            return list(table)
        mapper = getattr(entity, "__mapper__", None)
        if mapper is not None:
            return [getattr(entity, name) for name in mapper.column_attrs.keys()]  # noqa: SIM118
        names = entity._aliased_insp.mapper.column_attrs.keys()
        return [getattr(entity, name) for name in names]

    def _join(
        self, left: Any, known: Columns, right: Any, more: Columns, telling: bool
    ) -> tuple[Any, Columns]:
        weights = (2, 4, 2, 0) if telling else (5, 3, 1, 1)
        (kind,) = self.rng.choices(("inner", "left", "full", "cross"), weights)
        condition = literal(1) == literal(1) if kind == "cross" else self._on(known, more, telling)
        make: Callable[..., Any] = orm_join if self._is_orm(left, right) else join
        made = make(left, right, condition, isouter=kind == "left", full=kind == "full")
        return made, known + more

    def _is_orm(self, *sides: Any) -> bool:
        return any(not hasattr(side, "c") or hasattr(side, "_left_memo") for side in sides)

    def _on(self, known: Columns, more: Columns, telling: bool) -> Any:
        parts = [self._equal_columns(known, more)]
        if telling and self._chance(0.7):
            parts.append(self._fixed(known + more))
        while self._chance(0.35):
            parts.append(self._atom(known + more))
        return or_(*parts) if self._chance(0.1) else and_(*parts)

    def _equal_columns(self, left: Columns, right: Columns) -> Any:
        links = [
            (one, other)
            for one in left
            for other in right
            if one.key != other.key
            and {"id", "author_id", "book_id", "boss_id"} >= {one.key, other.key}
        ]
        if links and self._chance(0.8):
            one, other = self.rng.choice(links)
        else:
            one, other = self._column(left, text=False), self._column(right, text=False)
        return one == other

    # ------------------------------------------------------------------ conditions

    def condition(self, columns: Columns, depth: int = 2) -> Any:
        """AND, OR and NOT of comparisons."""
        if depth == 0 or self._chance(0.45):
            return self._atom(columns)
        parts = [self.condition(columns, depth - 1) for _ in range(self.rng.randint(2, 3))]
        made = self._one_of((5, lambda: and_(*parts)), (4, lambda: or_(*parts)))
        return not_(made) if self._chance(0.08) else made

    def _atom(self, columns: Columns) -> Any:
        column = self._column(columns)
        value = random_value(self.rng, column.type)
        values = [random_value(self.rng, column.type) for _ in range(self.rng.randint(0, 3))]
        listed: list[Any] = [literal(one, column.type) for one in values]
        return self._one_of(
            (10, lambda: column == bindparam(None, value, column.type)),
            (2, lambda: bindparam(None, value, column.type) == column),
            (4, lambda: column.in_(values)),
            (1, lambda: column.in_(listed)),
            (1, lambda: column.not_in(values)),
            (2, lambda: column.is_(None)),
            (1, lambda: column.is_not(None)),
            (1, lambda: column != value),
            (1, lambda: column < bindparam(None, value, column.type)),
            (1, lambda: column.is_not_distinct_from(bindparam(None, value, column.type))),
            (1, lambda: between(column, literal(value, column.type), literal(9))),
            (1, lambda: self._column(columns, text=True).like("%b%")),
            (1, lambda: func.lower(self._column(columns, text=True)) == "b"),
            (1, lambda: func.coalesce(column, bindparam(None, value, column.type)) == column),
            (2, lambda: self._same_type(columns, column) == column),
            (1, lambda: self._exists(columns)),
            (1, lambda: self._column(columns, text=False).in_(self._of_number())),
            (1, lambda: self._column(columns, text=False) == self._scalar_subquery(columns)),
        )

    def _exists(self, columns: Columns) -> Any:
        inner = self._entity(self.rng.choice(MODELS))
        own = self._columns_of(inner)
        made = select(own[0]).where(self._correlated(columns, own)).exists()
        return made if self._chance(0.7) else ~made

    def _scalar_subquery(self, columns: Columns) -> Any:
        own = self._columns_of(self._entity(self.rng.choice(MODELS)))
        made = select(func.max(self._column(own, text=False)))
        return made.where(self._correlated(columns, own)).scalar_subquery()

    def _correlated(self, columns: Columns, own: Columns) -> Any:
        parts = [self.condition(own, 1)]
        if self._chance(0.7):
            parts.append(self._equal_columns(own, columns))
        return and_(*parts)

    # ----------------------------------------------------------------------- parts

    def _of_number(self, limited: bool = True) -> Any:
        columns = self._columns_of(self._entity(self.rng.choice(MODELS)))
        column = self._column(columns, text=False).label("number")
        made = self._filtered(select(column), columns)
        return self._limited(made) if limited else made

    def _counted(self) -> Any:
        columns = self._columns_of(self._entity(self.rng.choice(MODELS)))
        column = self._column(columns, text=False)
        made = select(column.label("number"), func.count().label("many")).group_by(column)
        return self._filtered(made, columns)

    def _of_derived(self, derived: Any) -> Any:
        number = derived.c[0]
        if self._chance(0.5):
            made = select(*derived.c)
            return made.where(self._atom([number])) if self._chance(0.5) else made
        columns = self._columns_of(self._entity(self.rng.choice(MODELS)))
        made = select(number, columns[0].label("key"))
        if self._chance(0.7):
            made = made.where(number == self._column(columns, text=False))
        return self._filtered(made, [*columns, number])

    def _filtered(self, statement: Any, columns: Columns) -> Any:
        if self._chance(0.1):
            return statement
        if self._chance(0.4):
            statement = statement.where(self._one_of((1, lambda: self._fixed(columns))))
        return statement.where(self.condition(columns))

    def _fixed(self, columns: Columns) -> Any:
        column = self._column(columns, text=False)
        return column == bindparam(None, self.rng.randint(1, 5), column.type)

    def _limited(self, statement: Any) -> Any:
        if not self._chance(0.15):
            return statement
        order = list(statement.selected_columns)
        return (
            statement.order_by(*order).limit(self.rng.randint(1, 4)).offset(self.rng.randint(0, 1))
        )

    def _labelled(self, columns: Sequence[Any]) -> Columns:
        return [column.label(f"c{number}") for number, column in enumerate(columns)]

    def _some(self, columns: Columns, most: int) -> Columns:
        return self.rng.sample(columns, self.rng.randint(1, min(most, len(columns))))

    def _column(self, columns: Columns, text: bool | None = None) -> Any:
        fitting = [
            column for column in columns if text is None or isinstance(column.type, String) is text
        ]
        return self.rng.choice(fitting) if fitting else literal("b" if text else 1)

    def _same_type(self, columns: Columns, column: Any) -> Any:
        return self._column(columns, text=isinstance(column.type, String))

    def _named(self, columns: Columns, name: str) -> Any:
        return next(column for column in columns if column.key == name)

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _one_of(self, *choices: tuple[int, Callable[[], Any]]) -> Any:
        weights = [weight for weight, _ in choices]
        return self.rng.choices([make for _, make in choices], weights)[0]()
