/** Calls that look like an attack or a scan, which no proposal should allow. */
import { isPlainPath } from '../../attributes/url.ts';

const SCANNED =
  /\/\.(?:env|git|svn|hg|aws|ssh|docker|htaccess|htpasswd|ds_store|vscode|npmrc)|\/(?:wp-(?:admin|login|content|includes|config)|xmlrpc\.php|phpmyadmin|pma\/|phpinfo|cgi-bin|vendor\/phpunit|boaform|hnap1|autodiscover|owa\/|solr\/admin|manager\/html|server-status|_ignition|telescope\/requests|actuator\/(?:env|heapdump|gateway)|etc\/(?:passwd|shadow))|\.(?:bak|sql|old|swp)$/i;
/** In paths and queries. */
const INJECTED = /\$\{|<script|%3cscript|union(?:\s|%20|\+)+(?:all(?:\s|%20|\+)+)?select|\/etc\/passwd|%00|%0d|%0a/i;
const SCANNERS =
  /sqlmap|nikto|nmap|masscan|zgrab|gobuster|dirbuster|dirb\b|wpscan|nuclei|acunetix|nessus|openvas|feroxbuster|wfuzz|ffuf/i;

/** The reason; `undefined` for an ordinary call. `path` with its query, as sent. */
export function suspicion(path: string, urlPath: string, userAgent: string | undefined): string | undefined {
  if (!isPlainPath(path)) return 'the path is not plain: empty segments, dots, escapes';
  if (SCANNED.test(urlPath)) return 'a path that scanners ask for';
  if (INJECTED.test(path)) return 'the path or query looks like an injection';
  if (userAgent !== undefined && SCANNERS.test(userAgent)) return 'the user agent is a scanner';
  return undefined;
}
