/**
 * Checks of the facts that an ext_authz filter is configured to send: context extensions of routes, and the header of its calls.
 * **In**: the configuration of a filter. **Out**: findings. **Fails**: never.
 */
import { CONTEXT_HEADER, extensionsOf } from '../../text/context-header.ts';
import { filterName, type HttpChain, perRoute } from './configuration.ts';
import type { Report } from './report.ts';
import type { View } from './view.ts';

export function checkRouteExtensions(report: Report, filter: View, { routes }: HttpChain): void {
  const ofHeader = headerNames(report, filter.config, 'http');
  if (routes === undefined) return; // RDS
  const ofRoutes = perRoute(routes, filterName(filter)).flatMap((one) =>
    one.entries('check_settings', 'context_extensions').map(([name]) => name),
  );
  checkNames(report, 'http', new Set([...ofRoutes, ...ofHeader]), routes, (name) => [
    `no virtual host or route sets ${name}`,
    `write typed_per_filter_config: { ${filterName(filter)}: { "@type": ...ExtAuthzPerRoute, check_settings: { context_extensions: { ${name}: VALUE } } } }`,
  ]);
}

export function checkConnectionExtensions(report: Report, config: View): void {
  const at = config.at('grpc_service') ?? config;
  checkNames(report, 'tcp', new Set(headerNames(report, config, 'tcp')), at, (name) => [
    `the header ${CONTEXT_HEADER} has no ${name}`,
    `write initial_metadata: [{ key: ${CONTEXT_HEADER}, value: '{"${name}": "VALUE"}' }] in grpc_service`,
  ]);
}

function checkNames(
  report: Report,
  part: 'http' | 'tcp',
  sent: ReadonlySet<string>,
  at: View,
  words: (name: string) => readonly [what: string, fix: string],
): void {
  const { needs } = report;
  for (const name of needs.anyNames(`${part} extension`)) {
    if (sent.has(name)) continue;
    const [what, fix] = words(name);
    const say = needs.has(`${part} extension`, name) ? 'lacks' : 'warns';
    report[say]('ENVOY_CONTEXT_EXTENSION', at, what, needs.anyWhy(`${part} extension`, name), fix);
  }
}

function headerNames(report: Report, config: View, part: 'http' | 'tcp'): readonly string[] {
  const header = config
    .items('grpc_service', 'initial_metadata')
    .find((one) => one.text('key')?.toLowerCase() === CONTEXT_HEADER);
  if (header === undefined) return [];
  const at = header.at('value') ?? header;
  const text = at.text() ?? '';
  const extensions = extensionsOf(Buffer.from(text).toString('latin1'));
  const wrong =
    extensions === undefined
      ? ['is not a JSON object of texts, so rules see nothing of it', `write value: '{"NAME": "VALUE"}'`]
      : text.includes('%')
        ? ['has a %, by which Envoy begins a command operator', 'write \\u0025']
        : undefined;
  if (wrong !== undefined) {
    const [what = '', fix = ''] = wrong;
    report.lacks(
      'ENVOY_CONTEXT_EXTENSION',
      at,
      `the header ${CONTEXT_HEADER} ${what}`,
      report.needs.anyWhy(`${part} extension`),
      fix,
    );
  }
  return [...(extensions?.keys() ?? [])];
}
