/** The handlers of the policy: state, breaker, latency, queues, last error. */
import type { JSX } from 'preact';
import type { HandlerRow } from '../api.ts';
import { ago, count, dateAndTime, duration } from '../format.ts';
import { Panel, Section } from '../parts/panel.tsx';
import { Loaded, NotServed, Note } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { Badge, Text, ValueList } from '../parts/text.tsx';
import { route, setQuery } from '../route.ts';
import { now } from '../screen.ts';
import { useResource } from '../server.ts';

function State({ row: { ready, breaker } }: { readonly row: HandlerRow }): JSX.Element {
  if (breaker !== 'closed') return <Badge tone={breaker === 'open' ? 'deny' : 'waiting'}>{`breaker ${breaker}`}</Badge>;
  return ready ? <Badge tone="allow">ready</Badge> : <Badge tone="failed">not ready</Badge>;
}

const latencyText = ({ latency }: HandlerRow): string =>
  latency === undefined || latency.p50Ms === null || latency.p99Ms === null
    ? '–'
    : `${duration(latency.p50Ms)} / ${duration(latency.p99Ms)}`;

const COLUMNS: readonly Column<HandlerRow>[] = [
  {
    name: 'Handler',
    width: 'minmax(8rem, 2fr)',
    line: 1,
    fills: true,
    cell: ({ name }) => <Text value={name} class="strong" />,
  },
  { name: 'Adapter', width: 'minmax(7rem, 1.5fr)', line: 2, cell: ({ adapter }) => <Text value={adapter} /> },
  { name: 'State', width: '9.5rem', line: 1, cell: (row) => <State row={row} /> },
  { name: 'p50 / p99', width: '8rem', isExtra: true, isNumber: true, cell: latencyText },
  { name: 'Running', width: '5rem', isNumber: true, line: 2, label: 'running', cell: ({ running }) => count(running) },
  { name: 'Waiting', width: '5rem', isNumber: true, line: 2, label: 'waiting', cell: ({ waiting }) => count(waiting) },
  { name: 'Queued', width: '5rem', isNumber: true, line: 2, label: 'queued', cell: ({ queued }) => count(queued) },
  {
    name: 'Last error',
    width: 'minmax(8rem, 2.5fr)',
    isExtra: true,
    cell: ({ why, lastError }) => (
      <Text
        value={why ?? (lastError === null ? null : `${lastError.why}, ${ago(lastError.atMs, now.value)}`)}
        class="muted"
      />
    ),
  },
];

export function Handlers(): JSX.Element {
  const resource = useResource<{ readonly handlers: readonly HandlerRow[] }>('/handlers', 2000);
  const { handler } = route.value.query;
  return (
    <Loaded resource={resource} missing={() => <NotServed endpoint="/handlers" />}>
      {({ handlers }) => {
        const opened = handlers.find(({ name }) => name === handler);
        return (
          <div class="split">
            {handlers.length === 0 ? (
              <Note title="The policy has no handlers">
                <p>
                  Handlers ask services, keep quotas and write reports. A policy declares them under{' '}
                  <code>handlers</code>.
                </p>
              </Note>
            ) : (
              <Table
                label="Handlers"
                columns={COLUMNS}
                rows={handlers}
                keyOf={({ name }) => name}
                opened={handler}
                onOpen={({ name }) => setQuery({ handler: name })}
              />
            )}
            {opened !== undefined && <HandlerPanel row={opened} />}
          </div>
        );
      }}
    </Loaded>
  );
}

function HandlerPanel({ row }: { readonly row: HandlerRow }): JSX.Element {
  const {
    name,
    adapter,
    why,
    lastError,
    deadlineMs,
    runs,
    restarts,
    running,
    waiting,
    queued,
    reports,
    latency,
    config,
  } = row;
  return (
    <Panel label="Handler" title={<Text value={name} isBlock />} onClose={() => setQuery({ handler: '' })}>
      <p>
        <State row={row} />
      </p>
      {why !== null && (
        <p class="problem">
          <Text value={why} isBlock />
        </p>
      )}
      {lastError !== null && (
        <Section title="Last error">
          <p>
            <Text value={lastError.why} isBlock /> <span class="muted">{dateAndTime(lastError.atMs)}</span>
          </p>
        </Section>
      )}
      <Section title="Calls">
        <ValueList
          values={{
            adapter,
            runs,
            restarts: count(restarts),
            deadline: deadlineMs === null ? 'by capability' : duration(deadlineMs),
            running: count(running),
            waiting: count(waiting),
            ...(latency === undefined ? {} : { 'timed calls': count(latency.count), 'p50 / p99': latencyText(row) }),
          }}
        />
        {latency?.count === 0 && (
          <p class="muted small">Only calls that wait are timed; this handler answered all at once.</p>
        )}
      </Section>
      {reports !== undefined && reports !== null && (
        <Section title="Reports">
          <ValueList values={{ queued: count(queued), ...reports }} />
        </Section>
      )}
      <Section title="Config">
        <pre class="code" tabIndex={0}>
          <Text value={JSON.stringify(config, null, 2)} isBlock />
        </pre>
      </Section>
    </Panel>
  );
}
