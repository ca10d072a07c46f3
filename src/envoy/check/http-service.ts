/** Checks of a filter that asks by HTTP (docs/http.md): what it cannot carry, and which headers Envoy takes from the answer. */
import type { Report } from './report.ts';
import type { View } from './view.ts';

/** Needs that only gRPC meets. */
const BY_GRPC: readonly (readonly [kind: string, what: string])[] = [
  ['http certificate', "the peer's certificate"],
  ['http metadata', 'dynamic metadata'],
  ['http route-metadata', 'metadata of the route'],
  ['http raw-headers', 'raw headers'],
  ['http query-change', 'changes of the query'],
];

export function checkByHttp(report: Report, service: View): void {
  const { needs } = report;
  for (const [kind, what] of BY_GRPC)
    if (needs.has(kind))
      report.lacks(
        'ENVOY_BY_HTTP',
        service,
        `a check by HTTP cannot carry ${what}`,
        needs.why(kind),
        'use grpc_service',
      );
  const answer = service.at('authorization_response');
  const changes = (kind: string, field: string): void => {
    const taken = [...(answer?.items(field, 'patterns') ?? [])];
    for (const name of needs.names(kind)) {
      if (taken.some((pattern) => matches(pattern, name.toLowerCase()))) continue;
      report.lacks(
        'ENVOY_BY_HTTP',
        answer ?? service,
        `Envoy does not take the header ${name} from the answer`,
        needs.why(kind, name),
        `add { exact: ${name} } to authorization_response.${field}.patterns`,
      );
    }
  };
  changes('http request-change', 'allowed_upstream_headers');
  changes('http response-change', 'allowed_client_headers_on_success');
}

/** A StringMatcher. */
function matches(pattern: View, name: string): boolean {
  const regex = pattern.text('safe_regex', 'regex');
  return (
    pattern.text('exact')?.toLowerCase() === name ||
    startsOrEnds(pattern.text('prefix'), (text) => name.startsWith(text)) ||
    startsOrEnds(pattern.text('suffix'), (text) => name.endsWith(text)) ||
    startsOrEnds(pattern.text('contains'), (text) => name.includes(text)) ||
    regex !== undefined // Envoy's dialect is another one; assume that it matches
  );
}

const startsOrEnds = (text: string | undefined, test: (text: string) => boolean): boolean =>
  text !== undefined && test(text.toLowerCase());
