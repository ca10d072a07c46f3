/** The keys nearest to their limit; a reset shows first which counters it reaches. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { QuotaInspection, TopLimit } from '../api.ts';
import { count, duration, valueText } from '../format.ts';
import { Confirmed } from '../parts/confirmed.tsx';
import { Panel, Section } from '../parts/panel.tsx';
import { Loaded, NotServed, Note } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { Text, ValueList } from '../parts/text.tsx';
import { route, setQuery } from '../route.ts';
import { messageOf, post, useResource } from '../server.ts';
import { Holders } from './limit-holders.tsx';

const keyText = ({ key }: TopLimit): string => Object.values(key).map(valueText).join(' · ');
const rowKey = ({ id }: TopLimit): string => id;
const usedOf = ({ limit, remaining }: TopLimit): number =>
  limit <= 0 ? 1 : Math.min(1, Math.max(0, (limit - remaining) / limit));

function Headroom({ row }: { readonly row: TopLimit }): JSX.Element {
  const used = usedOf(row);
  const state = row.remaining <= 0 ? 'over' : used >= 0.8 ? 'near' : 'well';
  const text = `${count(Math.max(0, row.remaining))} of ${count(row.limit)} left`;
  return (
    <span class={`headroom ${state}`} title={text}>
      <span class="bar" aria-hidden="true">
        <span style={{ width: `${Math.round(used * 100)}%` }} />
      </span>
      {row.remaining <= 0 ? `used up, ${count(row.limit)}` : text}
    </span>
  );
}

const COLUMNS: readonly Column<TopLimit>[] = [
  {
    name: 'Key',
    width: 'minmax(9rem, 2.5fr)',
    line: 1,
    fills: true,
    cell: (row) => <Text value={keyText(row)} class="strong" />,
  },
  { name: 'Rule', width: 'minmax(7rem, 1.5fr)', line: 2, cell: ({ rule }) => <Text value={rule} /> },
  { name: 'Headroom', width: '15rem', line: 1, cell: (row) => <Headroom row={row} /> },
  { name: 'New in', width: '6rem', isNumber: true, line: 2, cell: ({ resetMs }) => duration(resetMs) },
  {
    name: 'Holders',
    width: '5rem',
    isNumber: true,
    isExtra: true,
    cell: ({ holders }) => (holders === null ? <span class="absent">–</span> : count(holders)),
  },
  {
    name: 'Handler',
    width: 'minmax(6rem, 1fr)',
    isExtra: true,
    cell: ({ handler }) => <Text value={handler} class="muted" />,
  },
];

export function Limits(): JSX.Element {
  const resource = useResource<{ readonly limits: readonly TopLimit[] }>('/limits/top?limit=200', 2000);
  const { key } = route.value.query;
  return (
    <Loaded resource={resource} missing={() => <NotServed endpoint="/limits/top" />}>
      {({ limits }) => {
        const opened = limits.find((row) => rowKey(row) === key);
        return (
          <div class="split">
            {limits.length === 0 ? (
              <Note title="No key was charged yet">
                <p>A key appears when a call charges it while this view is open; keys whose window is over are gone.</p>
              </Note>
            ) : (
              <Table
                label="Limits"
                columns={COLUMNS}
                rows={limits}
                keyOf={rowKey}
                opened={key}
                onOpen={(row) => setQuery({ key: rowKey(row) })}
              />
            )}
            {opened !== undefined && <LimitPanel row={opened} key={key} onReset={resource.reload} />}
          </div>
        );
      }}
    </Loaded>
  );
}

function LimitPanel({ row, onReset }: { readonly row: TopLimit; readonly onReset: () => void }): JSX.Element {
  const { id, rule, handler, counter, key, resetMs, holders } = row;
  return (
    <Panel label="Limit" title={<Text value={keyText(row)} isBlock />} onClose={() => setQuery({ key: '' })}>
      <Headroom row={row} />
      <ValueList
        values={{
          rule,
          handler,
          counter,
          ...key,
          ...(holders === null ? { 'new in': duration(resetMs) } : {}),
        }}
      />
      <Holders id={id} hasLeases={holders !== null} />
      <Reset row={row} onReset={onReset} />
    </Panel>
  );
}

/** An expression that is the name of an attribute. */
const IS_NAME = /^[a-z_]+(\.[a-z_]+)+$/;

/** A call that has this key, as far as the key says. */
function callOf({ key }: TopLimit): string {
  const names = Object.entries(key).filter(([source]) => IS_NAME.test(source));
  const isLimit = names.some(([source]) => source.startsWith('ratelimit.'));
  return JSON.stringify({ [isLimit ? 'limit' : 'http']: Object.fromEntries(names) }, null, 2);
}

type Inspected = { readonly rules: readonly QuotaInspection[] };

function Reset({ row, onReset }: { readonly row: TopLimit; readonly onReset: () => void }): JSX.Element {
  const call = useSignal(callOf(row));
  const reason = useSignal('');
  const reached = useSignal<readonly QuotaInspection[] | undefined>(undefined);
  const problem = useSignal('');
  const look = async (): Promise<void> => {
    problem.value = '';
    try {
      const { rules } = await post<Inspected>('/limits/inspect', JSON.parse(call.value));
      reached.value = rules.filter(({ applies }) => applies);
    } catch (error) {
      reached.value = undefined;
      problem.value = error instanceof SyntaxError ? `The call is not JSON: ${error.message}` : messageOf(error);
    }
  };
  const reset = async (): Promise<string> => {
    const query = new URLSearchParams({ reason: reason.value.trim() }).toString();
    const { rules } = await post<Inspected>(`/limits/reset?${query}`, JSON.parse(call.value));
    onReset();
    const failed = rules.find((one) => one.reset === false);
    if (failed !== undefined) throw new Error(failed.failure ?? `${failed.rule} was not reset`);
    return `Reset: ${rules
      .filter((one) => one.reset === true)
      .map((one) => one.rule)
      .join(', ')}.`;
  };
  return (
    <Section title="Reset">
      <p class="muted small">A reset reaches the counters of one call. Complete the call, and look which they are.</p>
      <label class="field">
        Call
        <textarea
          rows={6}
          spellcheck={false}
          value={call.value}
          onInput={({ currentTarget }) => ((call.value = currentTarget.value), (reached.value = undefined))}
        />
      </label>
      <p class="actions">
        <button type="button" onClick={() => void look()}>
          Which counters?
        </button>
      </p>
      {problem.value !== '' && (
        <p class="problem" role="alert">
          <Text value={problem.value} isBlock />
        </p>
      )}
      {reached.value?.length === 0 && <p>The call reaches no counter: no quota rule applies to it.</p>}
      {reached.value !== undefined && reached.value.length > 0 && (
        <>
          <ul class="answers">
            {reached.value.map(({ rule, key, state, limit }) => (
              <li key={rule}>
                <p class="line">
                  <Text value={rule} isBlock class="strong" />
                  {state !== undefined && (
                    <span class="muted">
                      {count(state.used)} of {count(limit ?? 0)} used
                    </span>
                  )}
                </p>
                <p class="muted small">
                  <Text value={key.map(({ value }) => valueText(value)).join(' · ')} isBlock />
                </p>
              </li>
            ))}
          </ul>
          <label class="field">
            Reason, for the log of the server
            <input
              type="text"
              maxLength={200}
              value={reason.value}
              onInput={({ currentTarget }) => (reason.value = currentTarget.value)}
            />
          </label>
          {reason.value.trim() === '' ? (
            <p class="muted small">Write a reason first.</p>
          ) : (
            <Confirmed text="Reset" question="Start these counters anew?" onConfirm={reset} />
          )}
        </>
      )}
    </Section>
  );
}
