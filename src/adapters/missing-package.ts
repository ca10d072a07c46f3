/**
 * Advice for a module that could not be imported since a package is missing.
 * **In**: Node's error. **Out**: its message on one line, with the package to install and the folder to do so. **Fails**: never.
 */
import { findPackageJSON } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../text/message-of.ts';

const MISSING = /^Cannot find (?:package|module) '((?:@[^/']+\/)?[^./'][^/']*)/;
const IMPORTED_FROM = /' imported from (.+)$/;
const REQUIRED_BY = /\nRequire stack:\n- (.+)/;

/** `from`: the module that was loaded, unless the error names the one that imports the package. */
export function withInstallAdvice(error: unknown, from?: string): string {
  const text = messageOf(error);
  const message = text.replace(/\nRequire stack:[^]*/, '');
  const name = MISSING.exec(text)?.[1];
  const importer = REQUIRED_BY.exec(text)?.[1] ?? IMPORTED_FROM.exec(message)?.[1] ?? from;
  if (name === undefined) return message;
  return `${message}; install it: npm install ${name}${importer === undefined ? '' : ` in ${projectOf(importer)}`}`;
}

/** Where npm installs for this file: above node_modules, else the nearest package. */
function projectOf(file: string): string {
  const at = file.indexOf('/node_modules/');
  if (at >= 0) return file.slice(0, at);
  const manifest = findPackageJSON(pathToFileURL(file));
  return dirname(manifest ?? file);
}
