/** `sluice webhook`: the injector behind an API server, and its registration. */
import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { registrationOf, type RegistrationOptions } from '../../inject/admission/registration.ts';
import { injectorOf } from '../../inject/admission/review.ts';
import { makeLog } from '../../log/log.ts';
import { containErrors } from '../../serve/contain-errors.ts';
import { serveUntilStopped } from '../../serve/process-life.ts';
import { startWebhook, type WebhookServer } from '../../serve/webhook/server.ts';
import { messageOf } from '../../text/message-of.ts';
import { addressText } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { parseAddress, parseSeconds } from '../flag-values.ts';
import type { LogFlags } from '../server-flags.ts';
import { printOut } from '../terminal.ts';
import { configFrom, type ConfigFlags, meshFrom } from './inject-config.ts';

export interface WebhookFlags extends ConfigFlags, LogFlags {
  readonly https: string;
  readonly admin: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly grace: string;
  readonly printConfig?: true;
  readonly service?: string;
  readonly url?: string;
  readonly ca?: string;
  readonly allNamespaces?: true;
}

export async function webhook(flags: WebhookFlags): Promise<ExitCode> {
  if (flags.printConfig === true) return printRegistration(flags);
  const cert = required('--tls-cert', flags.tlsCert);
  const key = required('--tls-key', flags.tlsKey);
  const files = [flags.injectConfigFile, flags.meshConfigFile].filter((file) => file !== undefined);
  const graceMs = parseSeconds('--grace', flags.grace);
  const [address, admin] = [parseAddress(flags.https), parseAddress(flags.admin)];
  const log = makeLog(flags.logFormat, flags.logLevel);
  containErrors(log);
  return serveUntilStopped<WebhookServer>({
    log,
    start: () =>
      startWebhook({
        address,
        admin,
        tls: { cert, key },
        readInjector: async () => injectorOf(await configFrom(flags), await meshFrom(flags)),
        files,
        log,
        graceMs,
      }),
    onServing: (server) =>
      log.info('serving', {
        https: `${addressText(server.address)}/inject`,
        admin: addressText(server.admin),
        style: flags.style,
      }),
  });
}

function required(flag: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new CliError('CLI_USAGE', `${flag} is missing: API servers ask over HTTPS only`);
}

async function printRegistration({ service, url, ca, style, allNamespaces }: WebhookFlags): Promise<ExitCode> {
  if (ca === undefined) throw new CliError('CLI_USAGE', '--print-config needs --ca, the authority of the certificate');
  const pem = await readFile(ca, 'utf8').catch((error: unknown) => {
    throw new CliError('CLI_USAGE', `--ca: ${messageOf(error)}`, { cause: error });
  });
  const at = placeOf(service, url);
  const name = 'sluice-webhook';
  printOut(stringify(registrationOf({ name, style, at, ca: pem, allNamespaces: allNamespaces === true })).trimEnd());
  return EXIT.ok;
}

function placeOf(service: string | undefined, url: string | undefined): RegistrationOptions['at'] {
  if ((service === undefined) === (url === undefined))
    throw new CliError('CLI_USAGE', '--print-config needs either --service NAME.NAMESPACE or --url https://...');
  if (url !== undefined) {
    if (!URL.canParse(url) || new URL(url).protocol !== 'https:')
      throw new CliError('CLI_USAGE', `--url is "${url}"; expected https://HOST[:PORT]/inject`);
    return { url };
  }
  const [, name, namespace, port = '443'] = /^([a-z0-9-]+)\.([a-z0-9-]+)(?::(\d+))?$/.exec(service ?? '') ?? [];
  if (name === undefined || namespace === undefined)
    throw new CliError(
      'CLI_USAGE',
      `--service is "${service}"; expected NAME.NAMESPACE, such as sluice-webhook.sluice`,
    );
  return { service: name, namespace, port: Number(port) };
}
