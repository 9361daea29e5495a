import { door } from "../ui/app-state";
import { Spinner } from "../ui/parts";
import { Claim } from "./Claim";
import { DoorCard } from "./DoorCard";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";

export function App() {
  const at = door.value;
  switch (at.kind) {
    case "opening":
      return (
        <main class="door">
          <Spinner label="Opening" />
        </main>
      );
    case "unreachable":
      return (
        <DoorCard title="The box cannot be reached">
          <p>{at.message}</p>
          <button type="button" class="button primary" onClick={() => location.reload()}>
            Try again
          </button>
        </DoorCard>
      );
    case "unclaimed":
      return <Claim box={at.box} />;
    case "signed-out":
      return <SignIn box={at.box} note={at.note} name={at.name} />;
    case "open":
      return <Shell name={at.name} />;
  }
}
