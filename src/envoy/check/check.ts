/**
 * What a configuration of Envoy lacks for a policy.
 * **In**: the text of a bootstrap, or of a dump of /config_dump; needs and options. **Out**: findings at their places.
 * **Fails**: never; a text that is no configuration is a finding.
 */
import { parseDocuments } from '../../yaml/document.ts';
import { type Finding, Findings } from '../../yaml/findings.ts';
import { SourceText } from '../../yaml/source-text.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import type { Needs } from '../needs.ts';
import { CHECK_TIMEOUT_MS, type EnvoyOptions } from '../options.ts';
import { type Configuration, configurationOf, type HttpChain } from './configuration.ts';
import { checkConnectionExtensions } from './context-extensions.ts';
import { checkManager } from './connection-manager.ts';
import { checkCertificates, checkFailureMode, checkFilterOf, checkHttpFilter, checkNamespaces } from './http-check.ts';
import { checkLimits } from './limit-check.ts';
import { checkLogger, loggerOf } from './log-check.ts';
import { Report } from './report.ts';
import { checkCluster, checkTimeouts } from './services.ts';
import { View } from './view.ts';

const PRINTS = 'add the parts that `sluice envoy POLICY` prints';

export async function checkEnvoy(
  file: string,
  text: string,
  needs: Needs,
  options: EnvoyOptions,
): Promise<readonly Finding[]> {
  const findings = new Findings();
  const source = new SourceText(file, text);
  const { documents } = await parseDocuments(source, findings, new TimeSlice());
  if (findings.hasErrors) return findings.sorted([file]);
  const root = documents[0]?.root ?? { kind: 'map', place: { source, start: 0, end: 0 }, entries: new Map() };
  const configuration = configurationOf(new View(root));
  const report = new Report(needs, options, configuration, findings);
  if (configuration.http.length + configuration.tcp.length === 0)
    report.lacks(
      'ENVOY_FILE',
      configuration.root,
      'there is no listener with a connection manager or a TCP proxy',
      [],
      'give a bootstrap of Envoy, or a dump of /config_dump',
    );
  else checkAll(report, configuration);
  return findings.sorted([file]);
}

function checkAll(report: Report, { http, root, statsSinks }: Configuration): void {
  const { needs } = report;
  if (needs.has('http') || needs.has('log verdict')) checkHttpFilters(report, http, root);
  checkLimits(report);
  if (needs.has('log')) checkHttpLogs(report, http, root);
  checkTcp(report);
  const metrics = needs.why('metrics');
  const sink = statsSinks.find((one) => one.isOfType('.MetricsServiceConfig'));
  if (metrics.length > 0 && sink === undefined)
    report.lacks(
      'ENVOY_NO_METRICS',
      root.at('stats_sinks') ?? root,
      'Envoy does not send its statistics',
      metrics,
      'add the stats sink of docs/metrics.md',
    );
  checkCluster(report, sink?.config.at('grpc_service'), metrics);
}

function checkHttpFilters(report: Report, chains: readonly HttpChain[], root: View): void {
  const why = report.needs.has('http') ? report.needs.why('http') : report.needs.why('log verdict');
  const filters = chains.map((chain) => ({ chain, filter: checkFilterOf(report, chain) }));
  const isAsked = filters.some(({ filter }) => filter !== undefined);
  if (!isAsked) {
    report.lacks('ENVOY_NO_CHECK', chains[0]?.manager ?? root, 'no listener has an ext_authz filter', why, PRINTS);
    return;
  }
  for (const { chain, filter } of filters) {
    if (filter === undefined) {
      report.warns('ENVOY_LISTENER_UNCHECKED', chain.manager, 'requests of this listener are not checked', why, PRINTS);
      continue;
    }
    checkHttpFilter(report, filter, chain);
    checkManager(report, chain.manager);
  }
}

function checkHttpLogs(report: Report, chains: readonly HttpChain[], root: View): void {
  const loggers = chains.flatMap(({ manager }) => {
    const logger = loggerOf(report, manager, 'log');
    return logger === undefined ? [] : [{ manager, logger }];
  });
  if (loggers.length === 0)
    report.lacks(
      'ENVOY_NO_LOG',
      chains[0]?.manager ?? root,
      'no listener sends its access log to Sluice',
      report.needs.why('log'),
      PRINTS,
    );
  for (const { manager, logger } of loggers) checkLogger(report, manager, logger, 'log');
}

/** Rules that answer HTTP as well need no TCP filter, but one that is there has to send what they read. */
function checkTcp(report: Report): void {
  const { needs, configuration, options } = report;
  const { tcp, root } = configuration;
  const filters = tcp.flatMap((chain) => chain.filters.filter((filter) => filter.isOfType('.ext_authz.v3.ExtAuthz')));
  const why = [...needs.why('tcp'), ...needs.why('also-tcp')];
  if (filters.length === 0 && (needs.has('tcp') || (options.withTcp && why.length > 0)))
    report.lacks('ENVOY_NO_CHECK', tcp[0]?.proxy ?? root, 'no TCP listener has an ext_authz filter', why, PRINTS);
  for (const { config } of why.length === 0 ? [] : filters) {
    checkCluster(report, config.at('grpc_service'), why);
    checkTimeouts(
      report,
      config.at('grpc_service') ?? config,
      config.at('grpc_service', 'timeout'),
      CHECK_TIMEOUT_MS,
      why,
    );
    checkFailureMode(report, config);
    checkCertificates(report, config, 'tcp');
    checkNamespaces(report, config, 'tcp');
    checkConnectionExtensions(report, config);
  }
  const loggers = tcp.flatMap(({ proxy }) => {
    const logger = loggerOf(report, proxy, 'tcp-log');
    return logger === undefined ? [] : [{ proxy, logger }];
  });
  const whyLog = [...needs.why('tcp-log'), ...needs.why('also-tcp-log')];
  if (loggers.length === 0 && (needs.has('tcp-log') || (options.withTcp && whyLog.length > 0)))
    report.lacks(
      'ENVOY_NO_LOG',
      tcp[0]?.proxy ?? root,
      'no TCP listener sends its access log to Sluice',
      whyLog,
      PRINTS,
    );
  for (const { proxy, logger } of whyLog.length === 0 ? [] : loggers) checkLogger(report, proxy, logger, 'tcp-log');
}
