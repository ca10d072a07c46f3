/** `sluice ratelimit`: in the place of envoyproxy/ratelimit. */
import { messageOf } from '../../core/errors.ts';
import { startRatelimit } from '../../ratelimit/server.ts';
import { SettingError } from '../../ratelimit/setting-error.ts';
import { readSettings } from '../../ratelimit/settings.ts';
import { addressText } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type LogLevel, makeLog } from '../log.ts';
import { controlPlane } from '../ratelimit/control-plane.ts';
import { grpcAddress } from '../ratelimit/grpc-door.ts';
import { answerInProcess } from '../ratelimit/in-process.ts';
import { ownTracing, tracingEnded } from '../ratelimit/own-tracing.ts';
import { stopped } from '../stopped.ts';

export async function ratelimit(): Promise<ExitCode> {
  const { settings, mogrifier, problems, warnings } = readSettings(process.env);
  const [problem, ...others] = problems;
  if (problem !== undefined) throw new CliError('CLI_SETTING', [problem, ...others].join('\n'), { exit: EXIT.usage });
  const log = makeLog(settings.LOG_FORMAT === 'json' ? 'json' : 'text', levelOf(settings.LOG_LEVEL));
  for (const warning of warnings) log.warn(warning);
  const tracing = await ownTracing(settings, log);
  const server = await startRatelimit({
    settings, mogrifier, log, followXds: controlPlane(settings, log),
    openAnswerer: (metrics) => answerInProcess(settings, metrics, log, tracing),
  }).catch((error: unknown) => {
    throw error instanceof CliError ? error : error instanceof SettingError ? new CliError('CLI_SETTING', error.message, { exit: EXIT.usage, cause: error }) : new CliError('CLI_PORT_TAKEN', messageOf(error), { cause: error });
  });
  let isTold = true;
  const end = stopped({
    reload: () => server.reload(),
    async drain() {
      await server.drain();
      isTold = await tracingEnded(tracing, log);
    },
  }, log);
  log.info('serving', { grpc: addressText({ ...grpcAddress(settings), port: server.grpcPort }), http: server.httpPort, debug: server.debugPort, prometheus: server.prometheusPort ?? null });
  await end;
  if (!isTold) process.exit(EXIT.ok);
  return EXIT.ok;
}

const LEVELS: ReadonlyMap<string, LogLevel> = new Map([['TRACE', 'debug'], ['DEBUG', 'debug'], ['INFO', 'info'], ['WARN', 'warn'], ['WARNING', 'warn'], ['ERROR', 'error'], ['FATAL', 'error'], ['PANIC', 'error']]);
const levelOf = (text: string): LogLevel => LEVELS.get(text.toUpperCase()) ?? 'warn';
