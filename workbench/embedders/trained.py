"""What the embedders that train special tokens share: they are made, saved, restored and read texts alike."""

from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from workbench.backbone import Backbone, Tokenized
from workbench.embedders.base import Embedder
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.instructions import PROMPTS
from workbench.errors import WorkbenchError

T = TypeVar("T", bound="TrainedEmbedder")


class TrainedEmbedder(Embedder):
    """A backbone, a module with all that trains, and the configuration that gives the module its shape.

    A method names both types; its module is made by `module_type(config, backbone, seed)` and has the special tokens'
    input rows as `tokens` `[s, d]`.
    """

    config_type: ClassVar[type[LLM2VecGenConfig] | type[GEMConfig]]
    module_type: ClassVar[type[nn.Module]]
    config: Any
    module: Any

    def __init__(
        self, backbone: Backbone, module: nn.Module, config: Any, prompts: dict[str, str] | None = None
    ) -> None:
        self.backbone = backbone
        self.module = module
        self.config = config
        self.prompts = dict(PROMPTS if prompts is None else prompts)

    @classmethod
    def untrained(cls: type[T], backbone: Backbone, config: Any, *, seed: int = 0) -> T:
        """An embedder that stands where training starts."""
        return cls(backbone, cls.module_type(config, backbone, seed), config)

    @classmethod
    def restore(
        cls: type[T],
        backbone: Backbone,
        config: dict[str, Any],
        tensors: dict[str, Tensor],
        prompts: dict[str, str],
    ) -> T:
        settings = cls.config_type.from_dict(config)
        module = cls.module_type(settings, backbone)
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            raise WorkbenchError(f"the saved tensors do not fit their configuration: {error}") from error
        return cls(backbone, module, settings, prompts)

    def tensors(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().contiguous() for name, tensor in self.module.state_dict().items()}

    def tokenize(self, texts: list[str], *, instruction: str | None = None) -> Tokenized:
        """Texts behind the template's opening; a text that is too long loses its own tail, which is counted."""
        room = min(self.config.max_length, self.backbone.max_length - len(self.module.tokens))
        return self.backbone.tokenize(
            texts, template=self.config.template, max_length=room, instruction=instruction
        )
