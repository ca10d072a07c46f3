/** Errors and warnings of a policy, with the line of the source where the server sends it. */
import type { JSX } from 'preact';
import type { Finding } from '../api.ts';
import { Badge, Text } from './text.tsx';

export function Findings({ findings }: { readonly findings: readonly Finding[] }): JSX.Element {
  return (
    <ol class="findings">
      {findings.map(({ at, severity, code, message, excerpt }) => (
        <li>
          <p>
            <Badge tone={severity === 'error' ? 'deny' : 'failed'}>{severity}</Badge>
            <code>{code}</code>
            <Text value={at} class="mono muted" isBlock />
          </p>
          <p>
            <Text value={message} isBlock />
          </p>
          {excerpt !== undefined && excerpt !== null && (
            <pre class="code" tabIndex={0}>
              <Text value={excerpt} isBlock />
            </pre>
          )}
        </li>
      ))}
    </ol>
  );
}
