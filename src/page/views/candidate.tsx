/** A candidate policy beside the one in force: what it would decide otherwise. */
import type { JSX } from 'preact';
import type { CandidateAnswer, CandidateSample } from '../api.ts';
import { ago, count, dateAndTime } from '../format.ts';
import { Confirmed } from '../parts/confirmed.tsx';
import { Copyable } from '../parts/copyable.tsx';
import { Findings } from '../parts/findings.tsx';
import { Facts, Section } from '../parts/panel.tsx';
import { Loaded, Note } from '../parts/states.tsx';
import { Badge, Text, ValueList } from '../parts/text.tsx';
import { linkTo } from '../route.ts';
import { now } from '../screen.ts';
import { post, useResource } from '../server.ts';

export function Candidate(): JSX.Element {
  const resource = useResource<CandidateAnswer>('/candidate', 2000);
  return (
    <Loaded resource={resource} missing={() => <None />}>
      {(candidate) => <Compared of={candidate} onPromoted={resource.reload} />}
    </Loaded>
  );
}

const None = (): JSX.Element => (
  <Note title="No candidate is loaded">
    <p>
      A candidate decides the same calls beside the policy in force, without effect, and shows here where it differs.
    </p>
    <Copyable text="sluice serve POLICY --candidate CANDIDATE --candidate-share 10%" />
  </Note>
);

const percent = (part: number, whole: number): string =>
  whole === 0 ? '' : ` (${part === 0 ? 0 : ((100 * part) / whole).toPrecision(2)} %)`;

function Compared({ of, onPromoted }: { readonly of: CandidateAnswer; readonly onPromoted: () => void }): JSX.Element {
  const { path, revision, loadedAt, refusal, share, compared, differing, skipped, byRule, samples } = of;
  const promote = async (): Promise<string> => {
    const { revision: promoted } = await post<{ revision: string }>('/candidate/promote', {});
    onPromoted();
    return `${promoted} is in force.`;
  };
  return (
    <div class="document">
      <Facts
        facts={[
          ['Revision', <span class="mono">{revision ?? 'none'}</span>],
          [
            'Loaded',
            loadedAt === null ? 'not yet' : <span title={dateAndTime(loadedAt)}>{ago(loadedAt, now.value)}</span>,
          ],
          ['Compared', `${count(compared)} calls, ${share} % of all`],
          [
            'Differing',
            <span
              class={differing > 0 ? 'differs' : undefined}
            >{`${count(differing)}${percent(differing, compared)}`}</span>,
          ],
          ...(skipped > 0 ? [['Skipped', `${count(skipped)}, since it was busy`] as const] : []),
          ['Read from', <Text value={path} isBlock class="mono" />],
        ]}
      />
      {refusal !== null && (
        <Section isTop title="The candidate was refused">
          <p class="problem">
            <Text value={refusal.why} isBlock />
          </p>
          <Findings findings={refusal.findings} />
        </Section>
      )}
      {revision !== null && (
        <Confirmed text="Promote" question={`Put ${revision} in force, in all workers?`} onConfirm={promote} />
      )}
      <Section isTop title="Differences by rule">
        {byRule.length === 0 ? (
          <p class="muted">
            {compared === 0 ? 'No call was compared yet.' : 'None: both decide every compared call alike.'}
          </p>
        ) : (
          <table>
            <thead>
              <tr>
                <th scope="col">Rule</th>
                <th scope="col">Now</th>
                <th scope="col">Then</th>
                <th scope="col" class="number">
                  Calls
                </th>
              </tr>
            </thead>
            <tbody>
              {byRule.map(({ rule, now: is, then, count: calls }) => (
                <tr>
                  <td>
                    <Text value={rule} isBlock />
                  </td>
                  <td>
                    <Text value={is} />
                  </td>
                  <td>
                    <Text value={then} />
                  </td>
                  <td class="number">{count(calls)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Section>
      {samples.length > 0 && (
        <Section isTop title="Samples">
          <ol class="chain">
            {samples.map((sample) => (
              <Sample key={`${sample.id} ${sample.time}`} of={sample} />
            ))}
          </ol>
        </Section>
      )}
    </div>
  );
}

function Sample({
  of: { time, id, request, now: is, then, why, values },
}: {
  readonly of: CandidateSample;
}): JSX.Element {
  return (
    <li>
      <p class="line">
        <Badge tone={is.outcome}>{is.outcome}</Badge>
        <Text value={is.rule} />
        <span class="arrow" role="img" aria-label="becomes">
          →
        </span>
        <Badge tone={then.outcome}>{then.outcome}</Badge>
        <Text value={then.rule} />
      </p>
      <p>
        <Text value={`${request.method ?? ''} ${request.host ?? ''}${request.path ?? ''}`} isBlock class="mono" />
      </p>
      <p>
        <Text value={why} isBlock />
      </p>
      <ValueList values={values} />
      <p class="muted small line">
        <span>{dateAndTime(time)}</span>
        <Text value={[request.client, request.principal].filter(Boolean).join(' ')} isBlock />
        <a href={linkTo('decisions', { id })}>why</a>
        <a href={linkTo('playground', { id })}>playground</a>
      </p>
    </li>
  );
}
