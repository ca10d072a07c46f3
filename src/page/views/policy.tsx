/** The policy in force, the errors of a newer one that was refused, and earlier ones. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { PolicyAnswer } from '../api.ts';
import { ago, count, dateAndTime } from '../format.ts';
import { Confirmed } from '../parts/confirmed.tsx';
import { Findings } from '../parts/findings.tsx';
import { Copyable } from '../parts/copyable.tsx';
import { Facts, Section } from '../parts/panel.tsx';
import { Loaded, NotServed, Note } from '../parts/states.tsx';
import { Badge, Text } from '../parts/text.tsx';
import { now } from '../screen.ts';
import { askText, messageOf, post, useResource } from '../server.ts';

export function Policy(): JSX.Element {
  const resource = useResource<PolicyAnswer>('/policy', 2000);
  return (
    <Loaded resource={resource} missing={() => <NotServed endpoint="/policy" />}>
      {(policy) => (
        <div class="document">
          <InForce policy={policy} />
          <Pending policy={policy} />
          <History policy={policy} onDone={resource.reload} />
          {policy.revision !== null && <EnvoySide key={policy.revision} configs={policy.configs ?? ['POLICY']} />}
        </div>
      )}
    </Loaded>
  );
}

/** Of a policy in force. */
const ORIGINS: Readonly<Record<string, string>> = {
  files: 'loaded from its files',
  candidate: 'promoted candidate',
  rollback: 'rolled back to',
};

function InForce({
  policy: { revision, loadedAt, configs, origin, pending },
}: {
  readonly policy: PolicyAnswer;
}): JSX.Element {
  if (revision === null || loadedAt === null)
    return (
      <Note title="No policy is in force" isProblem={pending !== null}>
        <p>
          Calls are answered with gRPC UNAVAILABLE; Envoy’s <code>failure_mode_allow</code> decides.
        </p>
      </Note>
    );
  return (
    <Facts
      facts={[
        ['Revision', <span class="mono">{revision}</span>],
        ['In force since', <span title={dateAndTime(loadedAt)}>{ago(loadedAt, now.value)}</span>],
        [
          'Newest attempt',
          pending === null ? <Badge tone="allow">in force</Badge> : <Badge tone="deny">refused</Badge>,
        ],
        ...(origin === undefined || origin === null ? [] : [['Origin', ORIGINS[origin] ?? origin] as const]),
        ...(configs === undefined
          ? []
          : [['Read from', configs.map((path) => <Text key={path} value={path} isBlock class="mono" />)] as const]),
      ]}
    />
  );
}

function Pending({ policy: { pending } }: { readonly policy: PolicyAnswer }): JSX.Element | null {
  if (pending === null) return null;
  const { why, refusedAt, findings } = pending;
  return (
    <Section isTop title={`A newer policy was refused ${ago(refusedAt, now.value)}`}>
      <p class="problem">
        <Text value={why} isBlock />
      </p>
      <Findings findings={findings} />
    </Section>
  );
}

function History({
  policy: { history },
  onDone,
}: {
  readonly policy: PolicyAnswer;
  readonly onDone: () => void;
}): JSX.Element | null {
  if (history === undefined) return null;
  if (history.length < 2)
    return (
      <Section isTop title="Earlier policies">
        <p class="muted">None since this server started. The last ten are kept, to roll back to.</p>
      </Section>
    );
  const rollBack = async (steps: number): Promise<string> => {
    const { revision } = await post<{ revision: string }>(`/policy/rollback?steps=${steps}`, {});
    onDone();
    return `${revision} is in force.`;
  };
  return (
    <Section isTop title="History">
      <ol class="history">
        {history.map(({ revision, loadedAt, origin }, steps) => (
          <li key={`${revision} ${loadedAt}`}>
            <span class="mono">{revision}</span>
            <span class="muted">{dateAndTime(loadedAt)}</span>
            <Text value={ORIGINS[origin] ?? origin} class="muted" />
            {steps === 0 ? (
              <Badge tone="allow">in force</Badge>
            ) : (
              <Confirmed
                text="Roll back"
                question={`Put ${revision} in force, ${count(steps)} back?`}
                onConfirm={async () => rollBack(steps)}
              />
            )}
          </li>
        ))}
      </ol>
    </Section>
  );
}

/** Made by the server when it is asked for. */
function EnvoySide({ configs }: { readonly configs: readonly string[] }): JSX.Element {
  const text = useSignal('');
  const problem = useSignal('');
  const load = async (): Promise<void> => {
    try {
      text.value = await askText('/policy/envoy');
      problem.value = '';
    } catch (error) {
      problem.value = messageOf(error);
    }
  };
  return (
    <Section isTop title="Envoy’s side">
      <p class="muted">
        Filters, cluster and access log for exactly this policy. An existing configuration is checked by{' '}
        <code>sluice envoy --check ENVOY.yaml {configs.join(' ')}</code>.
      </p>
      {text.value === '' ? (
        <p class="actions">
          <button type="button" onClick={() => void load()}>
            Show Envoy’s configuration
          </button>
          <span role="alert" class="problem">
            {problem.value}
          </span>
        </p>
      ) : (
        <Copyable text={text.value} />
      )}
    </Section>
  );
}
