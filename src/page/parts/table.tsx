/**
 * A table that draws only the rows in view: 10 000 rules cost as much as 40.
 * **In**: rows of one height, columns. **Out**: a grid for the keyboard (j, k, Enter) and the pointer. On a phone a row has two lines.
 */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { useCommands } from '../keys.ts';
import { isPhone } from '../screen.ts';

export interface Column<T> {
  readonly name: string;
  /** A track of grid-template-columns. */
  readonly width: string;
  readonly cell: (row: T) => ComponentChildren;
  /** Rows can be sorted by it; numbers begin with the largest. */
  readonly sortBy?: (row: T) => string | number;
  readonly isNumber?: boolean;
  /** Line of the row on a phone; absent: not shown there. */
  readonly line?: 1 | 2;
  /** Left out while a panel is open. */
  readonly isExtra?: boolean;
  /** Takes the rest of its line on a phone. */
  readonly fills?: boolean;
  /** Shown after the value on a phone. */
  readonly label?: string;
}

export interface TableProps<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly opened?: string | undefined;
  readonly onOpen?: (row: T) => void;
  /** Newest first: rows in view stay where they are while others come above them. */
  readonly isStream?: boolean;
  readonly sort?: Sort | undefined;
  readonly onSort?: (sort: Sort) => void;
}

export interface Sort {
  readonly by: string;
  readonly isDown: boolean;
}

const ROW_PX = 36;
const ROW_OF_PHONE_PX = 60;
const OVERSCAN = 6;

export function Table<T>(props: TableProps<T>): JSX.Element {
  const { label, rows, keyOf, opened, onOpen, isStream = false, sort, onSort } = props;
  const columns = useMemo(
    () => props.columns.filter(({ isExtra }) => opened === undefined || isExtra !== true),
    [props.columns, opened === undefined],
  );
  const rowPx = isPhone.value ? ROW_OF_PHONE_PX : ROW_PX;
  const body = useRef<HTMLDivElement>(null);
  const scrollTop = useSignal(0);
  const height = useSignal(600);
  const current = useSignal<string | undefined>(undefined);
  const sorted = useMemo(() => sortedBy(rows, columns, sort), [rows, columns, sort]);
  useHeightOf(body, height);
  useAnchor(body, sorted, keyOf, rowPx, isStream, scrollTop);

  const at = sorted.findIndex((row) => keyOf(row) === current.value);
  const move = (to: number): void => {
    const row = sorted[Math.max(0, Math.min(sorted.length - 1, to))];
    if (row === undefined) return;
    current.value = keyOf(row);
    intoView(body.current, Math.max(0, Math.min(sorted.length - 1, to)) * rowPx, rowPx);
    requestAnimationFrame(() =>
      body.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus({ preventScroll: true }),
    );
  };
  const openRow = (row: T): void => {
    current.value = keyOf(row);
    onOpen?.(row);
  };
  useCommands({
    next: () => move(at < 0 ? Math.floor(scrollTop.value / rowPx) : at + 1),
    previous: () => move(Math.max(0, at) - 1),
    ...(onOpen === undefined
      ? {}
      : {
          open() {
            const row = sorted[at];
            if (row !== undefined) onOpen(row);
          },
        }),
  });

  const first = Math.max(0, Math.floor(scrollTop.value / rowPx) - OVERSCAN);
  const shown = sorted.slice(first, first + Math.ceil(height.value / rowPx) + 2 * OVERSCAN);
  const isCurrentShown = shown.some((row) => keyOf(row) === current.value);
  return (
    <div
      class="table"
      role="grid"
      aria-label={label}
      aria-rowcount={sorted.length + 1}
      style={{ '--columns': columns.map(({ width }) => width).join(' '), '--row': `${rowPx}px` }}
    >
      <div class="head" role="row" aria-rowindex={1}>
        {columns.map((column) => (
          <Head column={column} sort={sort} onSort={onSort} />
        ))}
      </div>
      <div class="body" role="rowgroup" ref={body} onScroll={() => (scrollTop.value = body.current?.scrollTop ?? 0)}>
        <div style={{ height: `${first * rowPx}px` }} />
        {shown.map((row, index) => {
          const key = keyOf(row);
          const isCurrent = key === current.value || (!isCurrentShown && index === 0);
          return (
            <div
              key={key}
              class={onOpen === undefined ? 'row' : 'row opens'}
              role="row"
              aria-rowindex={first + index + 2}
              aria-selected={key === opened}
              tabIndex={isCurrent ? 0 : -1}
              onFocus={() => (current.value = key)}
              onClick={() => openRow(row)}
            >
              {isPhone.value ? (
                <>
                  <div class="line-1">
                    {cellsOf(
                      columns.filter(({ line }) => line === 1),
                      row,
                    )}
                  </div>
                  <div class="line-2">
                    {cellsOf(
                      columns.filter(({ line }) => line === 2),
                      row,
                    )}
                  </div>
                </>
              ) : (
                cellsOf(columns, row)
              )}
            </div>
          );
        })}
        <div style={{ height: `${Math.max(0, sorted.length - first - shown.length) * rowPx}px` }} />
      </div>
    </div>
  );
}

const cellsOf = <T,>(columns: readonly Column<T>[], row: T): JSX.Element[] =>
  columns.map((column) => (
    <div key={column.name} class={classOf(column)} role="gridcell" data-label={column.label}>
      {column.cell(row)}
    </div>
  ));

const classOf = <T,>({ isNumber, fills }: Column<T>): string =>
  `cell${isNumber === true ? ' number' : ''}${fills === true ? ' fills' : ''}`;

function Head<T>({
  column,
  sort,
  onSort,
}: {
  readonly column: Column<T>;
  readonly sort: Sort | undefined;
  readonly onSort: ((sort: Sort) => void) | undefined;
}): JSX.Element {
  const { name, isNumber = false, sortBy } = column;
  const isSorted = sort?.by === name;
  const order = isSorted ? (sort.isDown ? 'descending' : 'ascending') : undefined;
  return (
    <div class={classOf(column)} role="columnheader" aria-sort={order}>
      {sortBy === undefined || onSort === undefined ? (
        name
      ) : (
        <button
          type="button"
          class="sort"
          onClick={() => onSort({ by: name, isDown: isSorted ? !sort.isDown : isNumber })}
        >
          {name}
          <span aria-hidden="true">{isSorted ? (sort.isDown ? ' ↓' : ' ↑') : ''}</span>
        </button>
      )}
    </div>
  );
}

function sortedBy<T>(rows: readonly T[], columns: readonly Column<T>[], sort: Sort | undefined): readonly T[] {
  const value = columns.find(({ name }) => name === sort?.by)?.sortBy;
  if (value === undefined || sort === undefined) return rows;
  const sign = sort.isDown ? -1 : 1;
  const keyed = rows.map((row) => ({ row, by: value(row) }));
  keyed.sort((one, other) => sign * (one.by < other.by ? -1 : one.by > other.by ? 1 : 0));
  return keyed.map(({ row }) => row);
}

function intoView(body: HTMLDivElement | null, top: number, rowPx: number): void {
  if (body === null) return;
  if (top < body.scrollTop) body.scrollTop = top;
  else if (top + rowPx > body.scrollTop + body.clientHeight) body.scrollTop = top + rowPx - body.clientHeight;
}

function useHeightOf(body: { readonly current: HTMLDivElement | null }, height: { value: number }): void {
  useEffect(() => {
    const element = body.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => (height.value = element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
}

/** Keeps the rows in view in place while a stream adds rows above them, unless the list stands at its top. */
function useAnchor<T>(
  body: { readonly current: HTMLDivElement | null },
  rows: readonly T[],
  keyOf: (row: T) => string,
  rowPx: number,
  isStream: boolean,
  scrollTop: { value: number },
): void {
  const newest = useRef<string | undefined>(undefined);
  useLayoutEffect(() => {
    const element = body.current;
    const before = newest.current;
    newest.current = rows[0] === undefined ? undefined : keyOf(rows[0]);
    if (!isStream || element === null || before === undefined || element.scrollTop < rowPx) return;
    const added = rows.findIndex((row) => keyOf(row) === before);
    if (added <= 0) return;
    element.scrollTop += added * rowPx;
    scrollTop.value = element.scrollTop;
  }, [rows]);
}
