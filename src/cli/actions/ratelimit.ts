/** `sluice ratelimit`: in the place of envoyproxy/ratelimit. */
import { readSettings } from '../../ratelimit/settings/settings.ts';
import { containErrors } from '../../serve/contain-errors.ts';
import { StartError } from '../../serve/errors.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';
import { grpcAddress, logOf } from '../../serve/ratelimit/from-settings.ts';
import { startRatelimitServer } from '../../serve/ratelimit/server.ts';
import { addressText } from '../../transport/index.ts';
import type { ExitCode } from '../exit-codes.ts';

export interface RatelimitFlags {
  readonly workers?: string;
}

export async function ratelimit({ workers }: RatelimitFlags): Promise<ExitCode> {
  const { settings, mogrifier, problems, warnings } = readSettings(
    workers === undefined ? process.env : { ...process.env, SLUICE_WORKERS: workers },
  );
  if (problems.length > 0) throw new StartError('CLI_SETTING', problems.join('\n'));
  const log = logOf(settings);
  const escaped = containErrors(log);
  for (const warning of warnings) log.warn(warning);
  return serveUntilStopped({
    log,
    start: () => startRatelimitServer({ settings, mogrifier, log, escaped }),
    onServing({ grpcPort, httpPort, debugPort, prometheusPort }) {
      log.info('serving', {
        grpc: addressText({ ...grpcAddress(settings), port: grpcPort }),
        http: httpPort,
        debug: debugPort,
        prometheus: prometheusPort ?? null,
      });
    },
  });
}
