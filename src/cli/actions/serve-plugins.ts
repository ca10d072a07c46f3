/** `sluice plugins serve` and `sluice plugins describe`: the two ends of a plugin in a process of its own. */
import { join } from 'node:path';
import type { Adapter } from '../../adapters/contract.ts';
import { AdapterError } from '../../adapters/errors.ts';
import { builtIns } from '../../adapters/loading/built-in.ts';
import { Connections } from '../../adapters/remote/connections.ts';
import type { DialFiles } from '../../adapters/remote/dial-target.ts';
import { descriptionText } from '../../adapters/remote/description.ts';
import { makeLog } from '../../log/log.ts';
import { containErrors } from '../../serve/contain-errors.ts';
import { serve } from '../../serve/plugins/serve.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';
import { messageOf } from '../../text/message-of.ts';
import { addressText } from '../../transport/index.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type DialFlags, dialPaths } from '../dial-flags.ts';
import { parseAddress, parseSeconds } from '../flag-values.ts';
import { VERSION } from '../package.ts';
import { type LogFlags, type TlsFlags, tlsFilesOf } from '../server-flags.ts';
import { print } from '../terminal.ts';

export interface ServePluginsFlags extends LogFlags, TlsFlags {
  readonly listen: string;
  readonly grace: string;
}

export async function servePlugins(modules: readonly string[], flags: ServePluginsFlags): Promise<ExitCode> {
  const graceMs = parseSeconds('--grace', flags.grace);
  const listen = addressText(parseAddress(flags.listen, { unix: true }));
  const tls = tlsFilesOf(flags);
  const log = makeLog(flags.logFormat, flags.logLevel);
  containErrors(log);
  return serveUntilStopped({
    log,
    async start() {
      const adapters = await adaptersOf(modules);
      const options = { listen, graceMs, log, signals: false, software: `sluice ${VERSION}` };
      const server = await serve(adapters, { ...options, ...(tls === undefined ? {} : { tls }) });
      return {
        ...server,
        adapters,
        reload: () => {
          log.info('there is nothing to reload; restart to load the modules again');
          return Promise.resolve(false);
        },
      };
    },
    onServing: ({ address, adapters }) =>
      log.info('serving plugins', { address, adapters: adapters.map(({ name }) => name) }),
  });
}

/** A module is the name of a built-in adapter, of a package, or a path; the latter two from the working directory. */
async function adaptersOf(modules: readonly string[]): Promise<readonly Adapter[]> {
  const builtIn = await builtIns().including(modules);
  const own = modules.flatMap((name) => builtIn.get(name) ?? []);
  const named = modules.filter((name) => builtIn.get(name) === undefined);
  const file = join(process.cwd(), 'plugins');
  const { registry, problems } = await builtIn.withPlugins(named.map((name) => ({ name, file })));
  const [problem] = problems;
  if (problem !== undefined) throw problem.error;
  const loaded = registry
    .names()
    .flatMap((name) => (builtIn.get(name) === undefined ? (registry.get(name) ?? []) : []));
  return [...new Set([...own, ...loaded])];
}

export interface DescribePluginFlags extends DialFlags {
  readonly dial: string;
}

/** Prints a description file, for `plugins:` of a policy. */
export async function describePlugin(flags: DescribePluginFlags): Promise<ExitCode> {
  const address = addressText(parseAddress(flags.dial, { unix: true }));
  const tls: DialFiles | undefined = dialPaths(flags);
  try {
    const described = await new Connections().describe({ address, tls });
    print(process.stdout, descriptionText(described));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    throw new AdapterError('PLUGIN_UNREACHABLE', messageOf(error), { cause: error });
  }
}
