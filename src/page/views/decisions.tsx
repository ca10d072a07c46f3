/** Live decisions: a stream with filters; a row opens why. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { Decision, Outcome } from '../api.ts';
import { parseFilters, withFilter } from '../filters.ts';
import { count, dateAndTime, duration, plain, timeOfDay } from '../format.ts';
import { useCommands } from '../keys.ts';
import { Choices, FilterBox } from '../parts/filter-box.tsx';
import { Loading, NotServed, Note } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { Badge, Text } from '../parts/text.tsx';
import { route, setQuery } from '../route.ts';
import { connection } from '../server.ts';
import { DecisionStream } from '../stream.ts';
import { WhyPanel } from './why.tsx';

const OUTCOMES = [
  ['', 'All'],
  ['allow', 'Allow'],
  ['deny', 'Deny'],
  ['failed', 'Failed'],
  ['error', 'Error'],
] as const satisfies readonly (readonly [Outcome | '', string])[];

const COLUMNS: readonly Column<Decision>[] = [
  {
    name: 'Time',
    width: '6.6rem',
    line: 2,
    cell: ({ time }) => (
      <span class="muted" title={dateAndTime(time)}>
        {timeOfDay(time)}
      </span>
    ),
  },
  { name: 'Outcome', width: '5rem', line: 1, cell: ({ outcome }) => <Badge tone={outcome}>{outcome}</Badge> },
  { name: 'Method', width: '4rem', line: 2, cell: ({ method, call }) => <Text value={method ?? call} /> },
  { name: 'Host', width: 'minmax(6rem, 1.2fr)', line: 2, isExtra: true, cell: ({ host }) => <Text value={host} /> },
  {
    name: 'Path',
    width: 'minmax(8rem, 3fr)',
    line: 1,
    fills: true,
    cell: ({ path }) => <Text value={path} class="strong" />,
  },
  { name: 'Rule', width: 'minmax(7rem, 1.6fr)', line: 2, cell: (row) => <RuleOf row={row} /> },
  {
    name: 'Principal',
    width: 'minmax(5rem, 1.2fr)',
    isExtra: true,
    cell: ({ principal }) => <Text value={principal} />,
  },
  {
    name: 'Status',
    width: '3.2rem',
    isNumber: true,
    isExtra: true,
    cell: ({ status }) => <span class="muted">{status ?? '–'}</span>,
  },
  {
    name: 'Took',
    width: '4.4rem',
    isNumber: true,
    isExtra: true,
    cell: ({ tookMs }) => <span class="muted">{tookMs === undefined || tookMs === null ? '–' : duration(tookMs)}</span>,
  },
];

function RuleOf({ row: { rule, shadow } }: { readonly row: Decision }): JSX.Element {
  const [first, ...others] = shadow;
  if (rule !== null || first === undefined) return <Text value={rule} />;
  return (
    <span title={plain(`${shadow.join(', ')} would have denied`)}>
      <Badge tone="shadow">{others.length === 0 ? plain(first) : `${shadow.length} would deny`}</Badge>
    </span>
  );
}

const DEBOUNCE_MS = 300;

export function Decisions(): JSX.Element {
  const { q = '', id } = route.value.query;
  const { filters, wrong } = parseFilters(q);
  const query = new URLSearchParams(filters).toString();
  const stream = useStream(query);
  const toggle = (): void => stream.value?.pause(!stream.value.isPaused.value);
  useCommands({ pause: toggle });
  const now = stream.value;
  const rows = now?.rows.value ?? [];
  return (
    <>
      <div class="tools">
        <FilterBox
          label="Filter decisions"
          placeholder="rule:NAME host:NAME principal:NAME path:/a/* id:ID"
          value={q}
          onChange={(text) => setQuery({ q: text })}
          isWrong={wrong !== undefined}
        />
        <Choices
          label="Outcome"
          choices={OUTCOMES}
          chosen={filters.outcome === undefined ? '' : (filters.outcome as Outcome)}
          onChoose={(outcome) => setQuery({ q: withFilter(q, { outcome }) })}
        />
        <Status stream={now} onToggle={toggle} />
        {wrong !== undefined && (
          <p class="wrong" role="alert">
            <Text value={wrong} isBlock />
          </p>
        )}
      </div>
      <div class="split">
        {rows.length > 0 && now !== undefined ? (
          <Table
            label="Decisions"
            columns={COLUMNS}
            rows={rows}
            keyOf={({ id: of }) => of}
            opened={id}
            onOpen={(row) => setQuery({ id: row.id })}
            isStream
          />
        ) : (
          <Without stream={now} isFiltered={query !== ''} />
        )}
        {id !== undefined && <WhyPanel id={id} row={rows.find((row) => row.id === id)} />}
      </div>
    </>
  );
}

/** A new stream for new filters, a moment after the last keystroke. */
function useStream(query: string): { readonly value: DecisionStream | undefined } {
  const stream = useSignal<DecisionStream | undefined>(undefined);
  const isFirst = useMemo(() => ({ value: true }), []);
  useEffect(() => {
    const open = (): void => {
      stream.value = new DecisionStream(query);
    };
    const timer = isFirst.value ? undefined : setTimeout(open, DEBOUNCE_MS);
    if (isFirst.value) open();
    isFirst.value = false;
    return () => {
      clearTimeout(timer);
      stream.value?.close();
    };
  }, [query]);
  return stream;
}

function Status({
  stream,
  onToggle,
}: {
  readonly stream: DecisionStream | undefined;
  readonly onToggle: () => void;
}): JSX.Element {
  const isPaused = stream?.isPaused.value === true;
  const missed = stream?.missed.value ?? 0;
  const { state, ...more } = stream?.state.value ?? { state: 'connecting' as const };
  const why = state === 'waiting' && 'why' in more ? more.why : undefined;
  return (
    <div class="stream">
      {missed > 0 && (
        <span class="muted" title="More decisions than the server sends to one reader; filters narrow them down">
          {count(missed)} not shown
        </span>
      )}
      <span class={`dot ${isPaused ? 'paused' : state}`} role="status">
        {isPaused
          ? `paused, ${count(stream?.held.value ?? 0)} new`
          : state === 'waiting'
            ? `connecting again${why === undefined ? '' : `: ${why}`}`
            : state}
      </span>
      <button type="button" onClick={onToggle} aria-pressed={isPaused} title="Pause or resume (p)">
        {isPaused ? 'Resume' : 'Pause'}
      </button>
    </div>
  );
}

function Without({
  stream,
  isFiltered,
}: {
  readonly stream: DecisionStream | undefined;
  readonly isFiltered: boolean;
}): JSX.Element {
  const state = stream?.state.value;
  if (state?.state === 'missing') return <NotServed endpoint="/verdicts/stream" />;
  if (state?.state === 'refused')
    return (
      <Note title="The server refused the filter" isProblem>
        <p>
          <Text value={state.why} isBlock />
        </p>
      </Note>
    );
  if (state?.state !== 'live')
    return connection.value.state === 'gone' ? <Note title="No decisions yet" /> : <Loading />;
  return isFiltered ? (
    <Note title="No decision passes the filter yet">
      <button type="button" onClick={() => setQuery({ q: '' })}>
        Show all decisions
      </button>
    </Note>
  ) : (
    <Note title="Waiting for the first decision">
      <p>Point Envoy’s ext_authz filter at this server, or send a call by hand:</p>
    </Note>
  );
}
