import type { JsonObject } from '@bufbuild/protobuf';
import type { LimitVerdict, Verdict } from '../core/call.ts';

/** What goes to the proxy as dynamic metadata under the filter's namespace (RULES section 5); access logs bring it back. */
export function verdictMetadata({ id, outcome, rule, shadow }: Verdict | LimitVerdict, named: Verdict['metadata'] = []): JsonObject {
  const metadata: JsonObject = {};
  for (const [name, value] of named) metadata[name] = value;
  const said: JsonObject = { id, outcome, shadow: [...shadow] };
  if (rule !== undefined) said['rule'] = rule;
  metadata['sluice'] = said;
  return metadata;
}
