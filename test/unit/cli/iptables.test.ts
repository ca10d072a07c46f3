import { Command } from 'commander';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeProgram } from '../../../src/cli/program.ts';

let printed = '';
beforeEach(() => {
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const print = (...args: readonly string[]): Promise<string> => printBy('iptables', ...args);

async function printBy(...args: readonly string[]): Promise<string> {
  const program: Command = makeProgram(() => undefined);
  await program.parseAsync([...args, '--print'], { from: 'user' });
  return printed;
}

test('the arguments of both init containers are read, and printed as the rules that they come to', async () => {
  const of10 = await print('-p', '15001', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-x', '', '-b', '80,', '-d', '');
  expect(of10).toContain('-A ISTIO_INBOUND -p tcp --dport 80 -j ISTIO_IN_REDIRECT\n');
  expect(of10).toContain('-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n');
  printed = '';
  const today = ['-p', '15001', '-z', '15016', '-u', '1337', '-m', 'TPROXY', '-i', '*', '-x', '', '-b', '*'];
  const ofToday = await printBy(
    'istio-iptables',
    ...today,
    '-d',
    '15090,15021,15020',
    '--log_output_level=default:info',
    '--ipv6',
    'off',
  );
  expect(ofToday).toContain('# ip -4 rule add fwmark 1337 lookup 133\n');
  expect(ofToday).toContain('-j TPROXY --on-port 15016');
  expect(ofToday).not.toContain('IPv6');
});

test.each([
  [['-p', '0'], '-p has "0"; expected a port from 1 to 65535'],
  [['-z', '15006x'], '-z has "15006x"; expected a port'],
  [['-u', 'istio-proxy'], '-u has "istio-proxy"; expected a numeric id'],
  [['-u', ''], '-u is empty'],
  [['-m', 'NONE'], '-m is "NONE"; expected REDIRECT or TPROXY'],
  [['-b', '80,*'], '-b has "*"; expected a port'],
  [['-d', '70000'], '-d has "70000"'],
  [['-i', '10.0.0.0/33'], '-i has "10.0.0.0/33"; expected ranges such as 10.96.0.0/12, or * alone'],
  [['-x', '*'], '-x has "*"; expected ranges such as 10.96.0.0/12'],
  [['-x', 'fd00::/8', '--style', '1.0'], '-x has "fd00::/8", of IPv6; the rules of Istio 1.0 know IPv4 only'],
  [['-c', 'eth0 -j ACCEPT'], '-c has "eth0 -j ACCEPT"; expected names of network interfaces'],
  [['-t', '0'], '-t has "0"; expected a number'],
])('%j is refused by the name of the argument', async (args, message) => {
  await expect(print(...args)).rejects.toThrow(message);
});
