/** The rules in force, with their counts. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { RuleRow, Values } from '../api.ts';
import { withFilter } from '../filters.ts';
import { ago, count, dateAndTime } from '../format.ts';
import { Choices, FilterBox } from '../parts/filter-box.tsx';
import { Panel, Section } from '../parts/panel.tsx';
import { Loaded, NotServed, Note } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { Badge, Text, ValueList } from '../parts/text.tsx';
import { linkTo, route, setQuery } from '../route.ts';
import { type RulesInForce, useRules } from '../rules-in-force.ts';
import { now } from '../screen.ts';

const KINDS = [
  ['all', 'All'],
  ['never', 'Never matched'],
  ['denying', 'Denied'],
  ['failing', 'Failed'],
  ['shadow', 'Shadow'],
] as const;
type Kind = (typeof KINDS)[number][0];

const modeText = (mode: RuleRow['mode']): string =>
  typeof mode === 'string' ? mode : `${mode.percent} %${mode.by === null ? '' : ` by ${mode.by}`}`;
const kindOf = ({ action }: RuleRow): string => action?.kind ?? 'changes';
const isShadow = ({ mode }: RuleRow): boolean => mode === 'shadow' || typeof mode === 'object';

const IS_OF: Readonly<Record<Kind, (row: RuleRow) => boolean>> = {
  all: () => true,
  never: ({ counts }) => counts?.lastAt === null,
  denying: ({ counts }) => (counts?.denied ?? 0) > 0,
  failing: ({ counts }) => (counts?.failed ?? 0) > 0,
  shadow: isShadow,
};

const number = (value: number | undefined, className = ''): JSX.Element => (
  <span class={value === undefined || value === 0 ? 'zero' : className}>
    {value === undefined ? '–' : count(value)}
  </span>
);

const COLUMNS: readonly Column<RuleRow>[] = [
  {
    name: 'Rule',
    width: 'minmax(9rem, 3fr)',
    line: 1,
    fills: true,
    sortBy: ({ name }) => name,
    cell: ({ name }) => <Text value={name} class="strong" />,
  },
  { name: 'Action', width: 'minmax(4rem, .7fr)', line: 2, sortBy: kindOf, cell: kindOf },
  {
    name: 'Mode',
    width: 'minmax(5.5rem, .8fr)',
    line: 2,
    sortBy: ({ mode }) => modeText(mode),
    cell: (row) =>
      isShadow(row) ? <Badge tone="shadow">{modeText(row.mode)}</Badge> : <Text value={modeText(row.mode)} />,
  },
  {
    name: 'Hits',
    width: '5rem',
    isNumber: true,
    line: 1,
    label: 'hits',
    sortBy: ({ counts }) => counts?.applied ?? -1,
    cell: ({ counts }) => number(counts?.applied),
  },
  {
    name: 'Denied',
    width: '5rem',
    isNumber: true,
    line: 2,
    label: 'denied',
    sortBy: ({ counts }) => counts?.denied ?? -1,
    cell: ({ counts }) => number(counts?.denied, 'deny'),
  },
  {
    name: 'Failed',
    width: '4.5rem',
    isNumber: true,
    line: 2,
    label: 'failed',
    sortBy: ({ counts }) => counts?.failed ?? -1,
    cell: ({ counts }) => number(counts?.failed, 'failed'),
  },
  {
    name: 'Would deny',
    width: '6rem',
    isExtra: true,
    isNumber: true,
    sortBy: ({ counts }) => counts?.shadowDenied ?? -1,
    cell: ({ counts }) => number(counts?.shadowDenied, 'shadow'),
  },
  {
    name: 'Last match',
    width: '7.5rem',
    isExtra: true,
    sortBy: ({ counts }) => (counts?.lastAt === undefined ? '' : (counts.lastAt ?? '0')),
    cell: ({ counts }) => <LastMatch at={counts?.lastAt} />,
  },
  {
    name: 'Written at',
    isExtra: true,
    width: 'minmax(7rem, 1.6fr)',
    sortBy: ({ at }) => at.replace(/\d+$/, (line) => line.padStart(9, '0')),
    cell: ({ at }) => <Text value={shortPlace(at)} class="muted" />,
  },
];

function LastMatch({ at }: { readonly at: string | null | undefined }): JSX.Element {
  if (at === undefined) return <span class="absent">–</span>;
  if (at === null) return <span class="never">never matched</span>;
  return <span title={dateAndTime(at)}>{ago(at, now.value)}</span>;
}

/** The last two parts of a path. */
export const shortPlace = (at: string): string => at.split('/').slice(-2).join('/');

const textOf = ({ name, at, description, match }: RuleRow): string =>
  `${name}\n${at}\n${description ?? ''}\n${match === true ? '' : match}`.toLowerCase();

export function Rules(): JSX.Element {
  return (
    <Loaded resource={useRules()} missing={() => <NotServed endpoint="/rules" />}>
      {(inForce) => <RulesOf inForce={inForce} />}
    </Loaded>
  );
}

function RulesOf({ inForce: { rules, total, revision } }: { readonly inForce: RulesInForce }): JSX.Element {
  const { q = '', show = 'all', sort = '', rule } = route.value.query;
  const kind = KINDS.find(([value]) => value === show)?.[0] ?? 'all';
  /** In lower case, by position; counts change more often. */
  const texts = useMemo((): string[] => [], [revision]);
  const rows = useMemo(() => {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    return rules.filter((row, at) => {
      if (!IS_OF[kind](row)) return false;
      if (words.length === 0) return true;
      const text = (texts[at] ??= textOf(row));
      return words.every((word) => text.includes(word));
    });
  }, [rules, q, kind]);
  const opened = rules.find(({ name }) => name === rule);
  return (
    <>
      <div class="tools">
        <FilterBox
          label="Filter rules"
          placeholder="Name, file or part of the match"
          value={q}
          onChange={(text) => setQuery({ q: text })}
        />
        <Choices label="Show" choices={KINDS} chosen={kind} onChoose={(choice) => setQuery({ show: choice })} />
        <span class="total" role="status">
          {rows.length === total ? count(total) : `${count(rows.length)} of ${count(total)}`}{' '}
          {total === 1 ? 'rule' : 'rules'}
          {rules.length < total && ', loading'}
        </span>
      </div>
      <div class="split">
        {rows.length === 0 ? (
          <Note title={rules.length === 0 ? 'No policy is in force' : 'No rule matches the filter'}>
            {rules.length > 0 && (
              <button type="button" onClick={() => setQuery({ q: '', show: '' })}>
                Show all rules
              </button>
            )}
          </Note>
        ) : (
          <Table
            label="Rules"
            columns={COLUMNS}
            rows={rows}
            keyOf={({ name }) => name}
            opened={rule}
            onOpen={({ name }) => setQuery({ rule: name })}
            sort={sort === '' ? undefined : { by: sort.replace(/^-/, ''), isDown: sort.startsWith('-') }}
            onSort={({ by, isDown }) => setQuery({ sort: `${isDown ? '-' : ''}${by}` })}
          />
        )}
        {opened !== undefined && <RulePanel row={opened} />}
      </div>
    </>
  );
}

const withoutNulls = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));

function RulePanel({ row }: { readonly row: RuleRow }): JSX.Element {
  const { name, at, description, match, action, calls, mode, onError, sample, counts } = row;
  return (
    <Panel label="Rule" title={<Text value={name} isBlock />} onClose={() => setQuery({ rule: '' })}>
      {description !== null && <p>{description}</p>}
      <p class="muted mono small">
        <Text value={at} isBlock />
      </p>
      <p class="actions">
        <a class="button" href={linkTo('decisions', { q: withFilter('', { rule: name }) })}>
          Live decisions of this rule
        </a>
      </p>
      <Section title="Match">
        {match === true ? (
          <p class="muted">It applies to every call.</p>
        ) : (
          <pre class="code" tabIndex={0}>
            <Text value={match} isBlock />
          </pre>
        )}
      </Section>
      <Section title="Does">
        <ValueList
          values={{
            ...withoutNulls(action ?? { kind: 'changes' }),
            mode: modeText(mode),
            ...Object.fromEntries(Object.entries(onError).map(([what, does]) => [`on error of ${what}`, String(does)])),
            calls: calls.join(', '),
            ...(sample === null ? {} : { sample: modeText(sample) }),
          }}
        />
      </Section>
      {counts !== undefined && counts !== null && (
        <Section title="Since the policy was loaded">
          <ValueList
            values={{
              applied: count(counts.applied),
              denied: count(counts.denied),
              failed: count(counts.failed),
              'would have denied (shadow)': count(counts.shadowDenied),
              'last match': counts.lastAt === null ? 'never' : dateAndTime(counts.lastAt),
            }}
          />
        </Section>
      )}
    </Panel>
  );
}
