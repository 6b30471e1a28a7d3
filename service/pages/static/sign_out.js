// Sign-out: the session ends on the server, then the sign-in page is shown.
import { send } from "./api.js";

document.getElementById("sign-out").addEventListener("click", async () => {
  try {
    await send("POST", "/ui/sign-out");
    location.assign("/ui/sign-in");
  } catch (error) {
    alert(`Not signed out: ${error.message}`);
  }
});
