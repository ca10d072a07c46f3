/**
 * Who holds units of a key now, read from its store.
 * **In**: the id of a row of `/limits/top`. **Out**: leases, oldest first, and replicas with units taken in advance; nothing for other
 * limits.
 */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import type { LimitHolders } from '../api.ts';
import { count, counted, duration } from '../format.ts';
import { Section } from '../parts/panel.tsx';
import { Loaded } from '../parts/states.tsx';
import { Text } from '../parts/text.tsx';
import { useResource } from '../server.ts';

export function Holders({ id, hasLeases }: { readonly id: string; readonly hasLeases: boolean }): JSX.Element {
  const from = useSignal(0);
  const resource = useResource<LimitHolders>(`/limits/holders?id=${encodeURIComponent(id)}&from=${from.value}`, 2000);
  const quiet = (why: string): JSX.Element | null =>
    hasLeases ? (
      <Section title="Holders">
        <p class="muted">
          <Text value={why} isBlock />
        </p>
      </Section>
    ) : null;
  return (
    <Loaded resource={resource} missing={quiet}>
      {({ leases = [], leaseCount, holders = [], failure }) => {
        if (failure !== undefined) return quiet(failure);
        return (
          <>
            {hasLeases && leaseCount === undefined && quiet('The adapter of this limit does not list its leases.')}
            {leaseCount !== undefined && (
              <Section title="Leases">
                <p class="muted">
                  {leaseCount === 0
                    ? 'No call holds a unit now.'
                    : `${counted(leaseCount, 'lease')}, the oldest first. Each ends with its call, or when its time is over.`}
                </p>
                {leases.length > 0 && (
                  <Rows label="Leases" head={['Call', 'Units', 'Held', 'Ends in']}>
                    {leases.map((lease, at) => (
                      <tr key={lease.id ?? at}>
                        <td>
                          {lease.id === undefined ? (
                            <span class="absent">not kept</span>
                          ) : (
                            <Text value={lease.id} isBlock class="mono" />
                          )}
                        </td>
                        <td class="number">{count(lease.units)}</td>
                        <td class="number">{duration(lease.heldMs)}</td>
                        <td class="number">{duration(lease.endsInMs)}</td>
                      </tr>
                    ))}
                  </Rows>
                )}
                <Pages from={from.value} shown={leases.length} of={leaseCount} onFrom={(next) => (from.value = next)} />
              </Section>
            )}
            {holders.length > 0 && (
              <Section title="Units taken in advance">
                <Rows label="Units taken in advance" head={['Process', 'Units']}>
                  {holders.map(({ who, units }) => (
                    <tr key={who}>
                      <td>
                        <Text value={who} isBlock class="mono" />
                      </td>
                      <td class="number">{count(units)}</td>
                    </tr>
                  ))}
                </Rows>
              </Section>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

/** The first column is text, the others are numbers. */
function Rows({
  label,
  head,
  children,
}: {
  readonly label: string;
  readonly head: readonly string[];
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="wide-table" role="region" aria-label={label} tabIndex={0}>
      <table class="holders">
        <thead>
          <tr>
            {head.map((name, at) => (
              <th key={name} scope="col" class={at > 0 ? 'number' : ''}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function Pages({
  from,
  shown,
  of,
  onFrom,
}: {
  readonly from: number;
  readonly shown: number;
  readonly of: number;
  readonly onFrom: (from: number) => void;
}): JSX.Element | null {
  const later = of - from - shown;
  if (from === 0 && later <= 0) return null;
  return (
    <p class="actions">
      {from > 0 && (
        <button type="button" onClick={() => onFrom(0)}>
          Oldest
        </button>
      )}
      {later > 0 && (
        <button type="button" onClick={() => onFrom(from + shown)}>
          Next
        </button>
      )}
      <span class="muted small">
        {shown === 0 ? 'none' : `${count(from + 1)} to ${count(from + shown)}`} of {count(of)}
      </span>
    </p>
  );
}
