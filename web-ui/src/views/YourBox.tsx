/** How to know that one talks to one's own box: what a page can tell, and what it cannot. */

const AUTHORITY = "/ca.crt";

export function YourBox() {
  return (
    <>
      <p>
        No page can prove which box it comes from: whoever stood between you and the box could show you this page, with any
        number on it. What proves it is compared <b>outside the page</b>, once, before this device trusts the box:
      </p>
      <ol class="explained">
        <li>
          Keep the box’s certificate: <a href={AUTHORITY} download="hearthkeep-ca.crt">hearthkeep-ca.crt</a>.
        </li>
        <li>
          Read the fingerprint on the box itself: its console shows it at the start, and <code>hearthkeep status</code> at any
          time.
        </li>
        <li>
          Compare it with the file’s SHA-256 fingerprint as your device shows it. Only if they are equal, let the device trust the
          file. From then on the browser warns by itself when somebody stands between.
        </li>
      </ol>
      <p class="fine">
        The certificate that your browser shows for this connection is another one, made with the first and often renewed: its
        numbers differ. Where the box has a certificate of your own, there is no file here, and nothing to compare.
      </p>
    </>
  );
}
