/** Runs before all tests: downloads the real servers, or fails with the one that is missing; bundles the command that tests start. */
import { fetchAll } from './fetch.ts';
import { bundledCommand } from './sluice-command.ts';

export default async function setup(): Promise<void> {
  await fetchAll();
  process.env['SLUICE_TEST_COMMAND'] ??= await bundledCommand(); // workers inherit it
}
