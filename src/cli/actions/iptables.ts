/**
 * `sluice iptables`: the init container of a pod.
 * **In**: the arguments of Istio's init container. **Out**: rules in the network namespace of this process, or their text.
 * **Fails**: with a CliError that names the argument, or the missing program or capability; a table changes as a whole or not at all.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import {
  type Family,
  type Interception,
  interceptionRules,
  restoreText,
  tproxyRoutes,
} from '../../mesh/sidecar/iptables.ts';
import { messageOf } from '../../text/message-of.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { printOut } from '../terminal.ts';

export interface IptablesFlags {
  readonly envoyPort: string;
  readonly inboundCapturePort?: string;
  readonly inboundTunnelPort: string;
  readonly proxyUid: string;
  readonly proxyGid?: string;
  readonly istioInboundInterceptionMode: string;
  readonly istioInboundPorts: string;
  readonly istioLocalExcludePorts: string;
  readonly istioServiceCidr: string;
  readonly istioServiceExcludeCidr: string;
  readonly istioOutboundPorts: string;
  readonly istioLocalOutboundPortsExclude: string;
  readonly istioExcludeInterfaces: string;
  readonly istioInboundTproxyMark: string;
  readonly istioInboundTproxyRouteTable: string;
  readonly style: '1.0' | 'today';
  readonly ipv6: 'auto' | 'on' | 'off';
  readonly clean?: true;
  readonly print?: true;
}

export async function iptables(flags: IptablesFlags): Promise<ExitCode> {
  const asked = interceptionOf(flags);
  const families: readonly Family[] = hasIpv6(flags.ipv6) ? [4, 6] : [4];
  const wanted = (family: Family): ReturnType<typeof interceptionRules> =>
    flags.clean === true ? [] : interceptionRules(asked, family);
  if (flags.print === true) {
    for (const family of families) {
      const routes = isTransparent(asked, family) ? tproxyRoutes(asked, family).add : [];
      printOut(`# IPv${family}`);
      for (const args of routes) printOut(`# ip ${args.join(' ')}`);
      printOut(restoreText(wanted(family)).trimEnd());
    }
    return EXIT.ok;
  }
  await mustHaveNetAdmin();
  for (const family of families) {
    const saved = await run(tool(family, 'save'), []);
    const isWanted = flags.clean !== true && isTransparent(asked, family);
    if (isWanted) await addRoutes(asked, family);
    const rules = restoreText(wanted(family), saved);
    if (rules !== '') await run(tool(family, 'restore'), ['--noflush', '-w', String(LOCK_WAIT_S)], rules);
    if (!isWanted) await removeRoutes(asked, family);
    if (family === 6 && flags.clean !== true && asked.style === 'today') await run('ip', INBOUND_ADDRESS);
  }
  return EXIT.ok;
}

/** How long another program may hold the lock of the tables. */
const LOCK_WAIT_S = 10;
/** The inbound listener connects to applications from ::6; of IPv4 all of 127.0.0.0/8 is local. */
const INBOUND_ADDRESS = ['-6', 'addr', 'replace', '::6/128', 'dev', 'lo'];

const tool = (family: Family, what: 'save' | 'restore'): string => `ip${family === 6 ? '6' : ''}tables-${what}`;

function isTransparent({ mode, inboundPorts, style }: Interception, family: Family): boolean {
  return mode === 'TPROXY' && inboundPorts.length > 0 && !(style === '1.0' && family === 6);
}

async function addRoutes(asked: Interception, family: Family): Promise<void> {
  await removeRoutes(asked, family);
  for (const args of tproxyRoutes(asked, family).add) await run('ip', args);
}

async function removeRoutes(asked: Interception, family: Family): Promise<void> {
  const { remove, flush } = tproxyRoutes(asked, family);
  const isThere = async (): Promise<boolean> =>
    run('ip', remove).then(
      () => true,
      () => false,
    );
  let count = 0;
  while (await isThere()) count += 1;
  if (count > 0) await run('ip', flush);
}

// ---------------------------------------------------------- programs

/** CAP_NET_ADMIN, in capabilities(7). */
const NET_ADMIN_BIT = 12n;

async function mustHaveNetAdmin(): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) throw new CliError('CLI_IPTABLES', 'rules of iptables exist on Linux only');
  if (((BigInt(`0x${effective}`) >> NET_ADMIN_BIT) & 1n) === 0n)
    throw new CliError(
      'CLI_IPTABLES',
      'this process lacks the capability NET_ADMIN, without which rules cannot be changed',
    );
}

/** What it prints. */
async function run(program: string, args: readonly string[], input = ''): Promise<string> {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = Promise.withResolvers<number | NodeJS.Signals | null>();
  child.on('error', ended.reject);
  child.on('close', (code, signal) => ended.resolve(code ?? signal));
  child.stdin.on('error', () => undefined); // it ended early: its exit code says so
  child.stdin.end(input);
  try {
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended.promise]);
    if (code === 0) return out;
    const why = err.trim().replaceAll(/\s*\n\s*/g, '; ');
    throw new CliError('CLI_IPTABLES', `\`${[program, ...args].join(' ')}\` fails (${code}): ${why}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new CliError('CLI_IPTABLES', `there is no program ${program}, neither on PATH nor in /usr/sbin`, {
        cause: error,
      });
    throw error instanceof CliError
      ? error
      : new CliError('CLI_IPTABLES', `${program}: ${messageOf(error)}`, { cause: error });
  }
}

/** As Istio's: a pod whose addresses are all of IPv4 needs no rules for IPv6. */
function hasIpv6(choice: IptablesFlags['ipv6']): boolean {
  if (choice !== 'auto') return choice === 'on';
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some(({ family, internal, address }) => family === 'IPv6' && !internal && !LINK_LOCAL.check(address, 'ipv6'));
}

const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

// ---------------------------------------------------------- arguments

function interceptionOf(flags: IptablesFlags): Interception {
  const { style, istioInboundInterceptionMode: mode } = flags;
  if (mode !== 'REDIRECT' && mode !== 'TPROXY')
    throw new CliError('CLI_USAGE', `-m is "${mode}"; expected REDIRECT or TPROXY`);
  const outboundPort = numberOf('-p', flags.envoyPort, PORT);
  const uids = numbersOf('-u', flags.proxyUid, ID);
  if (uids.length === 0)
    throw new CliError('CLI_USAGE', '-u is empty; expected the user id of the proxy, such as 1337');
  const outboundRanges = flags.istioServiceCidr === '*' ? '*' : rangesOf('-i', flags.istioServiceCidr, style);
  return {
    style,
    mode,
    outboundPort,
    inboundPort:
      flags.inboundCapturePort === undefined
        ? style === '1.0'
          ? outboundPort
          : INBOUND_PORT
        : numberOf('-z', flags.inboundCapturePort, PORT),
    tunnelPort: numberOf('-e', flags.inboundTunnelPort, PORT),
    uids,
    gids: flags.proxyGid === undefined || flags.proxyGid === '' ? uids : numbersOf('-g', flags.proxyGid, ID),
    inboundPorts: flags.istioInboundPorts === '*' ? '*' : numbersOf('-b', flags.istioInboundPorts, PORT),
    inboundPortsExcluded: numbersOf('-d', flags.istioLocalExcludePorts, PORT),
    outboundRanges,
    outboundRangesExcluded: rangesOf('-x', flags.istioServiceExcludeCidr, style),
    outboundPorts: numbersOf('-q', flags.istioOutboundPorts, PORT),
    outboundPortsExcluded: numbersOf('-o', flags.istioLocalOutboundPortsExclude, PORT),
    interfacesExcluded: itemsOf(flags.istioExcludeInterfaces).map((name) => interfaceOf('-c', name)),
    tproxyMark: numberOf('-t', flags.istioInboundTproxyMark, MARK),
    tproxyRouteTable: numberOf('-r', flags.istioInboundTproxyRouteTable, MARK),
  };
}

interface Range {
  readonly what: string;
  readonly min: number;
  readonly max: number;
}
const PORT: Range = { what: 'a port from 1 to 65535', min: 1, max: 65_535 };
const ID: Range = { what: 'a numeric id', min: 0, max: 2 ** 32 - 2 };
const MARK: Range = { what: 'a number from 1 to 4294967295', min: 1, max: 2 ** 32 - 1 };
const INBOUND_PORT = 15_006;

/** Istio's lists may end with a comma. */
const itemsOf = (list: string): readonly string[] =>
  list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

function numberOf(flag: string, item: string, { what, min, max }: Range): number {
  const number = Number(item);
  if (/^\d+$/.test(item) && number >= min && number <= max) return number;
  throw new CliError('CLI_USAGE', `${flag} has "${item}"; expected ${what}`);
}

const numbersOf = (flag: string, list: string, range: Range): readonly number[] =>
  itemsOf(list).map((item) => numberOf(flag, item, range));

function rangesOf(flag: string, list: string, style: Interception['style']): readonly string[] {
  return itemsOf(list).map((item) => {
    const [address = '', bits, ...more] = item.split('/');
    const family = isIP(address);
    const most = family === 6 ? 128 : 32;
    if (family === 0 || more.length > 0 || (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= most)))
      throw new CliError(
        'CLI_USAGE',
        `${flag} has "${item}"; expected ranges such as 10.96.0.0/12${flag === '-i' ? ', or * alone' : ''}`,
      );
    if (family === 6 && style === '1.0')
      throw new CliError('CLI_USAGE', `${flag} has "${item}", of IPv6; the rules of Istio 1.0 know IPv4 only`);
    return bits === undefined ? `${address}/${most}` : item;
  });
}

/** The kernel's limit is 15 bytes; a name must not end an argument of a rule. */
function interfaceOf(flag: string, name: string): string {
  if (/^[\w.+:@-]{1,15}$/.test(name) && !name.startsWith('-')) return name;
  throw new CliError('CLI_USAGE', `${flag} has "${name}"; expected names of network interfaces, such as eth1`);
}
