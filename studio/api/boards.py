"""Pictures that users keep together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from studio.api.schemas import BoardContent, BoardName, Changed, Error, NewBoard, Pictures
from studio.api.users import User
from studio.store.boards import Board

if TYPE_CHECKING:
    from studio import Studio


def add_boards(v1: APIRouter, studio: Studio) -> None:
    library = studio.library

    @v1.get("/boards", tags=["library"])
    def list_boards(user: User) -> list[Board]:
        """By name."""
        return library.boards.all(user)

    @v1.post("/boards", tags=["library"], status_code=201, responses={409: {"model": Error}})
    def create_board(body: NewBoard, user: User) -> Board:
        return library.boards.create(user, body.name, body.pictures)

    @v1.get("/boards/{id}", tags=["library"])
    def get_board(id: str, user: User) -> BoardContent:
        pictures = library.boards.pictures(id, user=user)
        return BoardContent(board=_board(id, user), pictures=pictures)

    @v1.patch("/boards/{id}", tags=["library"], responses={409: {"model": Error}})
    def rename_board(id: str, body: BoardName, user: User) -> Board:
        library.boards.rename(id, body.name, user=user)
        return _board(id, user)

    @v1.delete("/boards/{id}", tags=["library"], status_code=204)
    def delete_board(id: str, user: User) -> None:
        """The pictures on it stay."""
        library.boards.delete(id, user=user)

    @v1.post("/boards/{id}/add", tags=["library"])
    def add_to_board(id: str, body: Pictures, user: User) -> Changed:
        return Changed(changed=library.boards.add(id, body.pictures, user=user))

    @v1.post("/boards/{id}/remove", tags=["library"])
    def remove_from_board(id: str, body: Pictures, user: User) -> Changed:
        return Changed(changed=library.boards.remove(id, body.pictures, user=user))

    def _board(id: str, user: str) -> Board:
        return next(board for board in library.boards.all(user) if board.id == id)
